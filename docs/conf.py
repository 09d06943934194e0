"""How Sphinx builds the documentation: MyST pages, and a reference read off the docstrings."""

from __future__ import annotations

import tomllib
from pathlib import Path

_pyproject = Path(__file__).parents[1] / "pyproject.toml"
_project = tomllib.loads(_pyproject.read_text(encoding="utf-8"))["project"]

project = "trillium_trio"
copyright = "the trillium_trio contributors"
release = _project["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"{project} {release}"

exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings put code in single backticks. As cross-references these link where there is something
# to link to, and are shown as code where there is not.
default_role = "py:obj"

# The same name may be found in a folder and, re-exported, at the top: either will do.
suppress_warnings = ["ref.python"]

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "groupwise"
autodoc_typehints = "signature"

napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Attributes as fields of their class; otherwise those that are properties too come out twice.
napoleon_use_ivar = True
napoleon_custom_sections = ["Cancellation", "Default", "Unit", "Prevents"]
