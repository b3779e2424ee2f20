"""``{% api_docs_links %}``: the docs pages of the API, for a page of the staff such as the admin's index."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context

from djfast_mount.api_docs.pages import links_now
from djfast_mount.url_names.names import outer_prefix

__all__ = ["register"]

register = template.Library()


@register.inclusion_tag("djfast_mount/api_docs_links.html", takes_context=True)
def api_docs_links(context: Context) -> dict[str, Any]:
    """Links to the docs pages that `mount()` serves; nothing for who is not of the staff."""
    if not getattr(context.get("user"), "is_staff", False):
        return {"links": []}
    outer = outer_prefix().rstrip("/")
    return {"links": [{"title": link.title, "url": outer + link.path} for link in links_now()]}
