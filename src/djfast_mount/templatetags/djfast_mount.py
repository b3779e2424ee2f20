"""``{% load djfast_mount %}``: ``{% api_url "item" id=1 %}`` is the path of an endpoint."""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import NoReverseMatch

from djfast_mount.url_names.names import api_namespaces, known_names
from djfast_mount.urls import UnknownURL, reverse

__all__ = ["api_url", "register"]

register = template.Library()


@register.simple_tag
def api_url(name: str, *args: Any, **params: Any) -> str:
    """Returns the path of the endpoint `name`; without a namespace, of the first app that has one of that name.

    ``query=`` and ``fragment=`` are those of Django's ``{% url %}``.

    Raises: UnknownURL.
    """
    namespaces = api_namespaces()
    if not namespaces:
        raise UnknownURL(f"{{% api_url %}} got {name!r}, and no app with routes is mounted. Call mount() in asgi.py.")
    # A name of FastAPI's may hold a colon itself.
    is_whole = name.partition(":")[0] in namespaces
    names = [name] if is_whole else [f"{namespace}:{name}" for namespace in namespaces]
    for full_name in names:
        try:
            return reverse(full_name, args=args, **params)
        except NoReverseMatch:
            continue
    known = set(known_names())
    # The error is raised for the name that was most likely meant.
    return reverse(next((full_name for full_name in names if full_name in known), names[0]), args=args, **params)
