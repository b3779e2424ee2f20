"""What the index of the admin leads to: the docs of the API, and the page of the process."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.template import TemplateDoesNotExist
from django.template.loader import get_template

__all__ = ["link_docs"]

_TEMPLATE = "djfast_mount/admin_index.html"


def link_docs() -> None:
    """Gives the default admin site an index that extends its own. Called at start-up, after `django.setup()`.

    A site that has an `index_template` keeps it; ``{% api_docs_links %}`` and ``{% dashboard_link %}`` show the links
    there. A second call changes nothing.
    """
    if not (apps.is_installed("djfast_mount") and apps.is_installed("django.contrib.admin")):
        return
    site: Any = apps.get_app_config("admin").module.site  # type: ignore[union-attr]
    # The public attribute of AdminSite. A project that has set it keeps its own page.
    if site.index_template is None and _can_be_loaded():
        site.index_template = _TEMPLATE


def _can_be_loaded() -> bool:
    try:
        get_template(_TEMPLATE)
    except (TemplateDoesNotExist, ImproperlyConfigured):  # Templates of apps are not looked for.
        return False
    return True
