"""The page, its stream of events, and its figures as JSON: views of Django's half.

1. Who may see them is asked of each request, on its thread. Of a stream it is asked again before each event, if a
   thread is free. If none is, the stream goes on, because the page is needed most then. It ends after a minute: its
   browser connects anew, and is asked again.
2. The stream is async, and holds no thread while it waits.
3. They show the process that answers them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseForbidden, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from djfast_mount.dashboard.access import KEY_HEADER, may_see, may_still_see, opens
from djfast_mount.dashboard.contents import Contents, look
from djfast_mount.dashboard.doctor import doctor
from djfast_mount.dashboard.figures import figures
from djfast_mount.dashboard.tables import merged_route_table
from djfast_mount.exceptions import PoolTimeout
from djfast_mount.offload.current import current_source
from djfast_mount.route_table import route_table
from djfast_mount.routing.root_interface import Root, roots
from djfast_mount.telemetry.record import current

__all__ = ["events", "figures_as_json", "page"]

# Seconds between two events of a stream.
INTERVAL = 2.0
# Seconds after which a stream ends. The browser connects again by itself.
LIFETIME = 60.0
_EVENTS = "text/event-stream"
_TEMPLATE = "djfast_mount/dashboard.html"


@require_safe
def page(request: HttpRequest) -> HttpResponseBase:
    """The page, with all its tables. Who is not logged in as staff is led to the admin's login page."""
    shown: HttpResponseBase = admin.site.admin_view(_page)(request)
    return shown


def _page(request: HttpRequest) -> HttpResponse:
    if not may_see(request):
        raise PermissionDenied
    _leave_out()
    root = _root()
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "Mount"}
    if root is not None:
        doctor.ask(root)
        context |= {"contents": Contents(root), "routes": merged_route_table(route_table(root))}
    return render(request, _TEMPLATE, context)


@never_cache
@require_safe
@login_not_required  # It answers 403 where a redirect would be of no use to a script.
async def events(request: HttpRequest) -> HttpResponseBase:
    """What the page shows, as server-sent events, for a minute at most."""
    if not await sync_to_async(may_see)(request):
        return HttpResponseForbidden()
    _leave_out()
    root = _served_by()
    if request.method == "HEAD":  # A stream whose body nobody gets would go on for a minute.
        return HttpResponse(content_type=_EVENTS)
    response = StreamingHttpResponse(_events(request, root), content_type=_EVENTS)
    response["X-Accel-Buffering"] = "no"  # nginx would keep events until it has enough of them.
    return response


@never_cache
@require_safe
@login_not_required
async def figures_as_json(request: HttpRequest) -> HttpResponseBase:
    """What the page shows, as JSON: for the staff, and for `manage.py mount_top`."""
    if not await sync_to_async(_may_see_figures)(request):
        return HttpResponseForbidden()
    _leave_out()
    return HttpResponse(look(_served_by()), content_type="application/json")


def _leave_out() -> None:
    """Has the request that the caller belongs to not be counted."""
    observed = current.get()
    if observed is not None and not observed.over:  # Of others nobody will tell, and they would be waited for.
        figures.leave_out(observed)


async def _events(request: HttpRequest, root: Root) -> AsyncIterator[str]:
    end = time.monotonic() + LIFETIME
    while time.monotonic() < end and not root.health.draining:
        yield f"data: {look(root)}\n\n"
        await asyncio.sleep(INTERVAL)
        if not await _may_go_on(request, root):
            return


async def _may_go_on(request: HttpRequest, root: Root) -> bool:
    pool = root.pool
    if len(pool.held()) >= pool.size:
        return True
    try:
        return await sync_to_async(may_still_see)(request)
    except PoolTimeout:  # The last thread was taken meanwhile.
        return False


def _may_see_figures(request: HttpRequest) -> bool:
    return opens(request.headers.get(KEY_HEADER, "")) or may_see(request)


def _root() -> Root | None:
    """Returns what `mount()` returned, where it serves the caller's request."""
    source = current_source()
    pool = None if source is None else source.pool
    return next((root for root in list(roots) if root.pool is pool), None)


def _served_by() -> Root:
    root = _root()
    if root is None:
        raise Http404("This process is not served by mount().")
    return root
