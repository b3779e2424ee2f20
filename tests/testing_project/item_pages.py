"""Django's half beside `items_api`: a URLconf."""

from __future__ import annotations

import threading

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from project.shop.models import Item


def items(request: HttpRequest) -> JsonResponse:
    names = list(Item.objects.order_by("id").values_list("name", flat=True))
    return JsonResponse({"names": names, "thread": threading.current_thread().name})


async def whoami(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(await request.auser()))


def broken(request: HttpRequest) -> HttpResponse:
    raise LookupError("in a view")


def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{request.method} accepted")


def count(request: HttpRequest) -> HttpResponse:
    """Counts the visits of a session."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(request.session["visits"])


urlpatterns = [
    path("items/", items),
    path("whoami/", whoami),
    path("broken/", broken),
    path("form/", form),
    path("count/", count),
]
