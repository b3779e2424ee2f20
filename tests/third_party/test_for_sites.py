"""Apps for a site: what they do in Django's half, and what is to be set so that it holds for the API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Value
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import URLRouter
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.urls import path
from django_otp.plugins.otp_static.models import StaticDevice
from django_q.models import OrmQ
from django_q.signing import SignedPackage
from django_q.tasks import async_task
from django_q.worker import worker
from fastapi import FastAPI
from wagtail.models import Page

from djfast_mount import mount
from djfast_mount.auth import CurrentUser, router
from djfast_mount.testing import Client
from third_party.pages.models import Article

PASSWORD = "correct horse"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
pytestmark = pytest.mark.django_db


@pytest.fixture
def client(root_path: str) -> Iterator[Client]:
    with Client(root_path=root_path) as client:
        yield client


@pytest.fixture
def member() -> User:
    return User.objects.create_user("ann", "ann@example.com", PASSWORD)


def client_of(api: FastAPI, root_path: str, **options: Any) -> Client:
    return Client(mount("/api", api, **options), root_path=root_path)


def test_wagtail_serves_a_page_that_the_api_lists(client: Client, root_path: str) -> None:
    """A page that is published in wagtail is served by its URLs, and an endpoint finds it by the ORM."""
    home = Page.objects.get(depth=2)
    home.add_child(instance=Article(title="News", slug="news", text="Spring is here."))
    assert "Spring is here." in client.get("/pages/news/").text
    api = FastAPI()

    @api.get("/articles")
    def articles() -> list[str]:
        return list(Article.objects.live().values_list("title", flat=True))

    assert client_of(api, root_path).get("/api/articles").json() == ["News"]


def test_wagtails_editor_makes_a_page(client: Client, admin_user: User) -> None:
    """Wagtail's own admin makes a page by its form."""
    client.force_login(admin_user, MODEL_BACKEND)
    home = Page.objects.get(depth=2)
    form = {"title": "Late", "slug": "late", "text": "Autumn.", "comments-TOTAL_FORMS": 0, "comments-INITIAL_FORMS": 0}
    made = client.post(f"/cms/pages/add/pages/article/{home.pk}/", data={**form, "action-publish": "x"})
    assert made.status_code == 302, made.text
    assert Article.objects.get().live


def test_unfold_dresses_the_admin(client: Client, admin_user: User) -> None:
    """The admin has unfold's templates and styles, and the link to the API's docs."""
    client.force_login(admin_user, MODEL_BACKEND)
    page = client.get("/admin/").text
    styles = re.findall(r'href="([^"]+unfold[^"]+\.css)', page)
    assert styles
    assert "/api/docs" in page


@pytest.mark.parametrize("way", ["the admin", "the API"])
def test_axes_locks_out(way: str, member: User, root_path: str) -> None:
    """After three wrong passwords the right one is refused, by the login of the API as by that of the admin."""
    member.is_staff = True
    member.save()
    api = FastAPI()
    api.include_router(router, prefix="/auth")
    client = client_of(api, root_path, django_middleware_for_api=["axes.middleware.AxesMiddleware"])

    def logged_in(password: str) -> bool:
        if way == "the API":
            return client.post("/api/auth/login", json={"username": "ann", "password": password}).status_code == 200
        return client.post("/admin/login/", data={"username": "ann", "password": password}).status_code == 302

    assert logged_in(PASSWORD)
    client.logout()
    assert not any(logged_in("wrong") for _ in range(3))
    assert not logged_in(PASSWORD)


def test_cors_headers_are_for_djangos_half(client: Client) -> None:
    """The header is on a view and on a preflight for it. The API has Starlette's middleware for that."""
    origin = {"origin": "https://shop.example"}
    assert client.get("/", headers=origin).headers["access-control-allow-origin"] == origin["origin"]
    preflight = {**origin, "access-control-request-method": "GET"}
    assert client.options("/", headers=preflight).headers["access-control-allow-origin"] == origin["origin"]
    assert "access-control-allow-origin" not in client.get("/api/me", headers=origin).headers


def test_csp_is_for_djangos_half_and_the_docs_keep_their_own(client: Client, admin_user: User) -> None:
    """A view has the policy of django-csp. The docs pages of the API have the policy that they need."""
    client.force_login(admin_user, MODEL_BACKEND)
    assert client.get("/").headers["content-security-policy"] == "default-src 'self'"
    policy = client.get("/api/docs").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")


def test_otp_knows_who_is_verified(member: User, root_path: str) -> None:
    """A user who is verified by a device is so in the API too, where its middleware is named for the API."""
    device = StaticDevice.objects.create(user=member, name="codes")
    api = FastAPI()

    @api.get("/verified")
    def verified(user: CurrentUser) -> bool:
        return bool(user.is_verified())  # type: ignore[attr-defined]

    client = client_of(api, root_path, django_middleware_for_api=["django_otp.middleware.OTPMiddleware"])
    client.force_login(member, MODEL_BACKEND)
    assert (client.get("/verified/").text, client.get("/api/verified").json()) == ("False", False)
    session = client.session
    session["otp_device_id"] = device.persistent_id
    session.save()
    assert (client.get("/verified/").text, client.get("/api/verified").json()) == ("True", True)


def test_hijack_holds_for_the_api(client: Client, admin_user: User, member: User) -> None:
    """A superuser who acts as another is that one in the API, until it is released."""
    client.force_login(admin_user, MODEL_BACKEND)
    assert client.post("/hijack/acquire/", data={"user_pk": member.pk}).status_code == 302
    assert client.get("/api/me").json() == "ann"
    assert client.post("/hijack/release/").status_code == 302
    assert client.get("/api/me").json() == admin_user.username


def test_django_prometheus_counts_djangos_half(client: Client) -> None:
    """/prometheus/metrics has the calls of a view by its name."""
    client.get("/")
    metrics = client.get("/prometheus/metrics").text
    counted = re.search(r'view_transport_method_total\{method="GET",transport="http",view="books"\} (\d+)', metrics)
    assert counted is not None
    assert int(counted[1]) >= 1


def test_compressor_makes_a_file_that_is_served(root_path: str) -> None:
    """What `manage.py compress` has made is served with the static files."""
    call_command("compress", force=True, verbosity=0)
    client = client_of(FastAPI(), root_path)
    linked = re.search(r'href="([^"]+CACHE[^"]+\.css)"', client.get("/styled/").text)
    assert linked is not None
    style = client.get(linked[1].removeprefix(root_path))
    assert (style.status_code, "#123456" in style.text) == (200, True)
    assert Path(settings.STATIC_ROOT, "CACHE").is_dir()


def test_q2_runs_what_an_endpoint_enqueues(root_path: str) -> None:
    """A task that an endpoint enqueues is in the queue of its transaction, and q2's own worker runs it."""
    api = FastAPI()

    @api.post("/factorials")
    def enqueue(number: int) -> str:
        return str(async_task("math.factorial", number))

    task = client_of(api, root_path).post("/api/factorials", params={"number": 5}).json()
    [queued] = OrmQ.objects.all()
    work: Queue[Any] = Queue()
    done: Queue[Any] = Queue()
    work.put(SignedPackage.loads(queued.payload))
    work.put("STOP")
    # On a thread of its own: it closes the connections of its thread.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(worker, work, done, Value("f", -1)).result(timeout=20)
    ran = done.get(timeout=10)
    assert (ran["id"], ran["result"]) == (task, 120)


class Echo(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        await self.send_json(self.scope["user"].get_username())


def test_channels_beside_the_api(member: User, root_path: str) -> None:
    """A consumer outside of the API's prefix knows the user of the session."""
    sockets = AuthMiddlewareStack(URLRouter([path("ws/", Echo.as_asgi())]))
    client = client_of(FastAPI(), root_path, websocket_app=sockets)
    client.force_login(member, MODEL_BACKEND)
    with client.websocket_connect("/ws/") as socket:
        assert socket.receive_json() == "ann"
