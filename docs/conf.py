"""How Sphinx builds the documentation: MyST pages, and a reference read off the docstrings."""

from __future__ import annotations

import logging
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "trillium_trio"

_project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "trillium_trio"
copyright = "the trillium_trio contributors"
release = _project["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"{project} {release}"

# A reference page is built once the folder that it describes is there.
_public = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | {"exceptions", "index"}
_ahead = [page for page in (HERE / "reference").glob("*.md") if page.stem not in _public]
exclude_patterns = ["_build", *(f"reference/{page.name}" for page in _ahead)]

# A chapter without pages is an empty list, not a mistake. (This warning has a subtype but no type,
# which is why suppress_warnings cannot name it.)
logging.getLogger("sphinx.sphinx.directives.other").addFilter(
    lambda record: getattr(record, "subtype", None) != "empty_glob"
)

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
