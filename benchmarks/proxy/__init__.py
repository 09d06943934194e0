"""What a proxy costs: ours, nginx, and one written with Starlette and httpx2.

``compare.py`` measures all of them in one run.
"""
