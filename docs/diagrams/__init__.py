"""The pictures of the documentation. ``python -m docs.diagrams`` draws them again."""
