"""The docs site: `nox -s docs` builds it into docs/_build, and fails at a warning or at a link that leads nowhere."""

from __future__ import annotations

from importlib.metadata import version as installed_version

import django
from django.conf import settings

# docs/reference.md imports the package, and some of its modules define models.
settings.configure(
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "djfast_mount",
        "djfast_mount.tokens",
    ],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

project = "djfast_mount"
author = "the djfast_mount developers"
release = version = installed_version("djfast-mount")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nitpicky = True
# The types of Django, Starlette and FastAPI have no page here.
nitpick_ignore_regex = [("py:.*", ".*")]

# The docstrings write code in single backticks.
default_role = "code"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_typehints = "signature"
autodoc_type_aliases = {"ASGIApp": "ASGIApp", "Lifespan": "Lifespan"}
autodoc_default_options = {"show-inheritance": True}
maximum_signature_line_length = 80
napoleon_numpy_docstring = False

# GitHub's anchors, which the pages use when they are read in the repository.
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline", "colon_fence"]
# A link out of docs/ leads to a file of the repository.
myst_url_schemes = ["http", "https", "mailto"]
copybutton_prompt_text = "$ "

html_theme = "furo"
html_title = f"djfast_mount {release}"
html_show_sphinx = False
