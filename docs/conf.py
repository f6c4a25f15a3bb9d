import os
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import skhash  # noqa: E402

project = "skhash"
author = "the skhash developers"
copyright = "the skhash developers, BSD-3-Clause"
version = release = skhash.__version__
urls = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"].get("urls", {})
os.environ["SKHASH_DOCS"] = ".."  # the diagrams of the gallery link to the pages of the same build

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "board",
    "changes",
    "docstrings",
    "native_math",
    "pages",
    "thumbnails",
]
exclude_patterns = ["_build", "**sg_execution_times.rst"]
templates_path = ["_templates"]
smartquotes = False  # {"map", "recall"} in a list of parameters is Python
default_role = "literal"  # `name` in a docstring is a parameter, not a page
html_math_renderer = "mathml"

autosummary_generate = True
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"  # the docstrings say more
# A class page lists its methods by the template, so that fields of a dataclass are not taken for
# attributes.
numpydoc_show_class_members = False
autosummary_context = {
    "inherited_methods": [
        "get_metadata_routing",
        "get_params",
        "set_fit_request",
        "set_params",
        "set_partial_fit_request",
        "set_score_request",
        "set_transform_request",
    ]
}

# Links to other projects come from short lists of our own, so that a build needs no network. With
# ``sphinx-build -t online`` the full inventories are downloaded, and the lists are the fallback.
PROJECTS = {
    "python": "https://docs.python.org/3/",
    "numpy": "https://numpy.org/doc/stable/",
    "pandas": "https://pandas.pydata.org/docs/",
    "pillow": "https://pillow.readthedocs.io/en/stable/",
    "scikit-learn": "https://scikit-learn.org/stable/",
    "scipy": "https://docs.scipy.org/doc/scipy/",
}
online = tags.has("online")  # noqa: F821  Sphinx defines it
intersphinx_mapping = {
    name: (url, (*[None] * online, f"_inventories/{name}.txt")) for name, url in PROJECTS.items()
}
nitpicky = True  # a reference that leads nowhere is an error
nitpick_ignore = [("py:class", "CCAHasher")]  # written without its module in an inherited docstring
nitpick_ignore_regex = [("py:obj", r"\w+_")]  # fitted attributes have no pages of their own

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"(^_.*|service)\.py$",
    "within_subsection_order": "gallery_order.Order",
    "backreferences_dir": None,
    "capture_repr": ("_repr_html_", "__repr__"),
    "image_srcset": ["2x"],
    "min_reported_time": 1e9,
    "remove_config_comments": True,
    "reset_modules": ("matplotlib",),
    "show_memory": False,
    "download_all_examples": False,
    "show_signature": False,
    "abort_on_example_error": True,
    "thumbnail_size": (480, 300),
}

html_theme = "pydata_sphinx_theme"
html_title = "skhash"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["skhash.css"]
html_show_sourcelink = False
html_copy_source = False
ALONE = "index getting_started faq glossary verified contributing citing changelog gallery/*"
html_sidebars = {page: [] for page in ALONE.split()}
html_context = {"default_mode": "auto"}  # the colours of the reader's system
html_theme_options = {
    "logo": {"text": "skhash"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
if "Source" in urls:  # the address of the repository, once there is one
    html_context["edit_page_url_template"] = urls["Source"] + "/edit/main/docs/{{ file_name }}"
    html_context["edit_page_provider_name"] = "the repository"
    html_theme_options["use_edit_page_button"] = True
    html_theme_options["secondary_sidebar_items"].append("edit-this-page")
