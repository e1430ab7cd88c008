"""The settings of Sphinx for the site; ``python -m notebooks.site`` collects its sources first.

Sphinx and not MkDocs, because its search is a plain script, so that it works in a page opened from disk.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from notebooks.site.extension import setup  # noqa: E402, F401

project = "Preference Dynamics"
author = "The Preference Dynamics authors"
copyright = author
release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
html_theme = "furo"
html_title = project
html_static_path = ["style.css", str(Path(find_spec("ziamath").origin).parent / "fonts" / "STIXTwoMath-Regular.ttf")]
html_css_files = ["style.css"]
templates_path = ["templates"]
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/pages.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # it reads pages with fetch, which browsers forbid to pages from disk
html_math_renderer = "mathml"
pygments_style = "default"
toc_object_entries = False  # each page would carry the names of all packages

myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 6
myst_dmath_double_inline = True
nb_code_prompt_show = "Show the {type}"
nb_code_prompt_hide = "Hide the {type}"
nb_merge_streams = True
nb_render_markdown_format = "myst"  # what a cell shows may have formulas too
nb_execution_mode = "off"  # the notebooks hold their outputs, which the tests keep current

autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_default_options = {"ignore-module-all": True}  # a name is described once, where it is defined
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # the signature has the types
add_module_names = False
# a type in a signature may have the name of something else in two packages; a page of the ledger may skip a level
suppress_warnings = ["ref.python", "myst.header"]
