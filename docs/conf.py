"""The docs site: `nox -s docs` builds it into docs/_build, and fails at a warning or at a link that leads nowhere."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "djfast_mount"
author = "the djfast_mount developers"
release = version = installed_version("djfast-mount")

extensions = ["myst_parser", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nitpicky = True

# GitHub's anchors, which the pages use when they are read in the repository.
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline", "colon_fence"]
# A link out of docs/ leads to a file of the repository.
myst_url_schemes = ["http", "https", "mailto"]
copybutton_prompt_text = "$ "

html_theme = "furo"
html_title = f"djfast_mount {release}"
html_show_sphinx = False
