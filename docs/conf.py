"""How Sphinx builds the documentation: MyST pages, and a reference read off the docstrings."""

from __future__ import annotations

import pkgutil
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.pycode import ModuleAnalyzer

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_root = Path(__file__).parents[1]
sys.path.insert(0, str(_root))

from docs.diagrams.svg import DARK, LIGHT  # noqa: E402  # found below the root

_project = tomllib.loads((_root / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "trillium_trio"
copyright = "the trillium_trio contributors"
release = _project["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
# A page's source is in the repository.
html_copy_source = False
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {f"diagram-{name}": colour for name, colour in LIGHT.items()},
    "dark_css_variables": {f"diagram-{name}": colour for name, colour in DARK.items()},
}

exclude_patterns = ["_build"]

# Copies what is typed, without prompts and output.
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

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


def put_diagrams_into_the_page(app: Sphinx, doctree: nodes.document, _docname: str) -> None:
    """Replace images of diagrams by their source, which then follows the colours of the page."""
    if app.builder.format != "html":
        return
    for image in doctree.findall(nodes.image):
        if image["uri"].startswith("diagrams/"):
            svg = (app.srcdir / image["uri"]).read_text(encoding="utf-8")
            frame = f'<div class="diagram-frame" tabindex="0">{svg}</div>'
            image.replace_self(nodes.raw("", frame, format="html"))


def describe_data(*event: Any) -> None:  # six arguments, two of which matter
    """Describe a constant or an alias by the string below it, in the private file that has it."""
    _app, what, name, *_rest, lines = event
    if what != "data":
        return
    module, _, attribute = name.rpartition(".")
    for file in pkgutil.iter_modules(import_module(module).__path__):
        found = ModuleAnalyzer.for_module(f"{module}.{file.name}").find_attr_docs()
        lines[:] = found.get(("", attribute), lines)


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", describe_data)
    app.connect("doctree-resolved", put_diagrams_into_the_page)
