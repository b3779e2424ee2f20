"""A site and an API with names of every kind, and processes that ask for them without a server."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template import Context, Template
from django.urls import include, path
from django.urls import reverse as django_reverse
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from starlette.routing import NoMatchFound
from starlette.staticfiles import StaticFiles

from api_client import both
from djfast_mount.urls import reverse
from harness import PYTHONPATH, TESTS


class Colour(Enum):
    RED = "red"


def view(request: HttpRequest) -> HttpResponse:
    raise NotImplementedError


def links(request: HttpRequest) -> JsonResponse:
    """What Django's half writes."""
    template = Template("{% load djfast_mount %}{% url 'api:item' id=1 %} {% api_url 'item' id=2 %}")
    return JsonResponse(
        [reverse("api:item", id=3), django_reverse("api:item", args=[4]), *template.render(Context()).split()],
        safe=False,
    )


async def async_links(request: HttpRequest) -> JsonResponse:
    return await sync_to_async(links)(request)


def go(request: HttpRequest) -> HttpResponse:
    return redirect("api:item", id=5)


class URLs:
    urlpatterns = [
        path("", view, name="home"),
        path("pages/<int:number>/", view, name="page"),
        path("links/", links, name="links"),
        path("async-links/", async_links),
        path("go/", go),
        path("shop/", include(([path("carts/<slug:name>/", view, name="cart")], "shop"))),
    ]


class OtherURLs:
    urlpatterns = [path("other/", view, name="other")]


def tenant(tenant: int) -> int:
    return tenant


def api_with_names() -> FastAPI:
    api, v1, inner, rooted, router = FastAPI(), FastAPI(), FastAPI(), FastAPI(), APIRouter(prefix="/included")

    @api.get("/items/{id}", name="item")
    def item(id: int) -> int:  # noqa: A002
        return id

    @api.get("/typed/{kind}/{day}/{key}")
    def typed(kind: Colour, day: datetime.date, key: UUID) -> None: ...

    @api.get("/converted/{number:int}/{share:float}/{file:path}")
    def converted(number: str, share: str, file: str) -> None: ...

    @api.get("/uuid/{key:uuid}")
    def uuid(key: str) -> None: ...

    @rooted.get("/rooted", name="rooted")
    def at_the_root() -> None: ...

    @api.get("/text/{text}")
    def text(text: str) -> None: ...

    @api.get("/tenants/{tenant}/x")
    def in_dependency(checked: Annotated[int, Depends(tenant)]) -> None: ...

    @api.get("/first", name="twice")
    @api.get("/second", name="twice")
    @api.get("/third/{number}", name="twice")
    def twice(number: int = 0) -> None: ...

    @router.get("/{number}", name="included")
    def included(number: int) -> None: ...

    @inner.get("/deep")
    def deep() -> None: ...

    @v1.get("/items/{id}", name="item")
    def v1_item(id: int) -> None: ...  # noqa: A002

    @api.websocket("/ws/{room}")
    async def talk(socket: WebSocket, room: str) -> None:
        await socket.accept()
        await socket.send_json([str(socket.url_for("talk", room="b")), str(socket.url_for("page", number=1))])
        await socket.close()

    @both(api, "GET", "/links")
    def api_links(request: Request) -> list[str]:
        return [
            reverse("page", number=1),
            reverse("api:item", id=2),
            django_reverse("shop:cart", args=["a"]),
            django_reverse("api:item", args=[3]),
            str(request.url_for("item", id=4)),
            str(request.url_for("api:item", id=5)),
            str(request.url_for("page", number=6)),
        ]

    @both(api, "GET", "/unknown")
    def unknown(request: Request) -> str:
        try:
            return str(request.url_for("pag", number=1))
        except NoMatchFound as error:
            return str(error)

    api.include_router(router)
    v1.mount("/inner", inner)
    api.mount("/{version}/v1", v1, name="v1")
    api.mount("/", rooted)
    api.mount("/files", StaticFiles(directory=TESTS), name="files")
    return api


def run_after_setup(tmp_path: Path, code: str, **more: str) -> str:
    """Runs `code` after django.setup() in a process of its own, with `more` settings."""
    lines = ["from project.settings import *", *(f"{name} = {value!r}" for name, value in more.items())]
    (tmp_path / "own_settings.py").write_text("\n".join(lines))
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "own_settings",
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{PYTHONPATH}",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import django, sys\ndjango.setup()\nfrom django.urls import *\n{code}"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
