"""Whether Django's URLconf has a view for a path, told before any middleware has seen the request."""

from __future__ import annotations

from django.conf import settings
from django.conf.urls.i18n import is_language_prefix_patterns_used
from django.urls import Resolver404, get_resolver
from django.utils.translation import get_language_from_path

__all__ = ["has_view"]


def has_view(path: str) -> bool:
    """Whether Django's URLconf has a view for `path`, in any language."""
    if get_language_from_path(path) and is_language_prefix_patterns_used(settings.ROOT_URLCONF)[0]:
        return True
    try:
        get_resolver().resolve(path)
    except Resolver404:
        return False
    except Exception:  # A converter that asks the database, a broken URLconf: Django's half will see it again.
        return True
    return True
