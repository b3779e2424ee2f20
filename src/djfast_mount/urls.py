"""URLs of both frameworks, by name.

    from djfast_mount.urls import reverse

    reverse("api:item", id=1)                   # /api/items/1, an endpoint of the app under /api
    reverse("admin:shop_item_change", args=[1])

The namespace of an endpoint is the prefix of its app without the outer slashes, with a hyphen for an inner one: "api",
"api-v1". Django's own `reverse` and ``{% url %}`` find these names too, and ``request.url_for`` finds Django's.
"""

from __future__ import annotations

from djfast_mount.objects import aget_object_or_404, get_object_or_404
from djfast_mount.route_table import Route, route_table
from djfast_mount.url_names.reverse import UnknownURL, reverse

__all__ = ["Route", "UnknownURL", "aget_object_or_404", "get_object_or_404", "reverse", "route_table"]
