"""Sphinx configuration of the documentation: `make docs` builds it into docs/_build/html."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent / "src"), str(HERE.parent)]

# The kernels that execute the pages are processes of their own: they see the same source.
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent / "src"), str(HERE.parent)])
os.environ.setdefault("OMP_NUM_THREADS", "1")

import allegory  # noqa: E402

project = "allegory"
author = "The allegory authors"
copyright = "The allegory authors, Apache-2.0"
version = release = allegory.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_nb",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
    "docstring_text",
    "generated_tables",
    "python_blocks",
]
exclude_patterns = ["_build", "_ext", "decisions/_*"]
nitpicky = True

# Pages: MyST markdown. A page with ```python blocks is executed when it is built
# (docs/_ext/python_blocks.py).
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / ".jupyter_cache")
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
nb_output_stderr = "remove"  # progress, and warnings with the paths of one machine
suppress_warnings = ["mystnb.unknown_mime_type"]

# The paper list.
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "alpha"
bibtex_reference_style = "author_year"

# The reference: Google style docstrings, members in the order of `__all__`.
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_param = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
add_module_names = False
default_role = "literal"

# Types of other packages have no pages here, and private types of ours have none.
nitpick_ignore_regex = [("py:.*", ".*")]

html_theme = "furo"
html_title = f"allegory {release}"
html_static_path = ["_static"]
html_css_files = ["allegory.css"]
html_show_sphinx = False
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {
        "color-brand-primary": "#0b5c8a",
        "color-brand-content": "#0b5c8a",
    },
    "dark_css_variables": {
        "color-brand-primary": "#6cb6e8",
        "color-brand-content": "#6cb6e8",
    },
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
