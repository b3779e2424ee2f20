"""Whether a FastAPI has a front end for a path: what `api.frontend()` serves where no route of the app matches.

Names used here that are not public, with a canary test: the router's _match_low_priority. Where it is gone no front end
is known of, and what neither half has a route for is Django's 404.
"""

from __future__ import annotations

from typing import Any

from starlette.routing import Match
from starlette.types import Scope

__all__ = ["has_front_end"]


def has_front_end(app: Any, scope: Scope) -> bool:
    """Whether `app` has a front end at the path of `scope`, for any method."""
    match_low_priority = getattr(getattr(app, "router", None), "_match_low_priority", None)
    return match_low_priority is not None and match_low_priority({**scope})[0] is not Match.NONE
