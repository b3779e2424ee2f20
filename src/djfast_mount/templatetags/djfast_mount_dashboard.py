"""``{% dashboard_link %}``: the page that shows what the process is doing, for the admin's index."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context
from django.urls import NoReverseMatch, reverse

from djfast_mount.conf import option

__all__ = ["register"]

register = template.Library()


@register.inclusion_tag("djfast_mount/dashboard_link.html", takes_context=True)
def dashboard_link(context: Context) -> dict[str, Any]:
    """A link to the page; nothing where the URLconf has none, or for who may not see it."""
    user: Any = context.get("user")
    permission = option("dashboard_permission")
    if not getattr(user, "is_staff", False) or (permission is not None and not user.has_perm(permission)):
        return {"url": None}
    try:
        return {"url": reverse("djfast_mount_dashboard:page")}
    except NoReverseMatch:
        return {"url": None}
