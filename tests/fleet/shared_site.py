"""A site whose instances share what its environment says: cache, sessions, groups of websockets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dj_database_url
from django.conf import settings

REDIS = os.environ.get("REDIS_URL", "")
CACHES = {
    "memory": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "redis": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS},
}
LAYERS = {
    "memory": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
    "redis": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [REDIS]}},
}
shared = os.environ.get("SHARED", "memory")
settings.configure(
    SECRET_KEY=os.environ.get("SITE_SECRET", "the same on each instance, and long enough for that"),
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": dj_database_url.parse(os.environ["DATABASE_URL"])},
    CACHES={"default": CACHES[shared]},
    CHANNEL_LAYERS={"default": LAYERS[shared]},
    SESSION_ENGINE=f"django.contrib.sessions.backends.{os.environ.get('SESSIONS', 'db')}",
    INSTALLED_APPS=[
        "djfast_mount",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "djfast_mount.tokens",
        "channels",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    DJFAST_MOUNT={"authentication": ["djfast_mount.auth.session", "djfast_mount.tokens.schemes.api_token"]},
)
urlpatterns: list[object] = []

import django  # noqa: E402

django.setup()

from channels.layers import get_channel_layer  # noqa: E402
from django.contrib.auth.models import Group  # noqa: E402
from django.core.cache import cache  # noqa: E402
from fastapi import FastAPI, HTTPException, WebSocket  # noqa: E402

from djfast_mount import mount  # noqa: E402
from djfast_mount.auth import CurrentUser, router  # noqa: E402


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await Group.objects.acreate(name=f"started by {os.getpid()}")
    yield


api = FastAPI(lifespan=lifespan)
api.include_router(router, prefix="/auth")


@api.get("/me")
def me(user: CurrentUser) -> str:
    return user.get_username()


@api.get("/process")
async def process() -> int:
    return os.getpid()


@api.get("/limited")
def limited() -> int:
    cache.add("calls", 0)
    calls = cache.incr("calls")
    if calls > 4:
        raise HTTPException(429)
    return calls


@api.websocket("/listen")
async def listen(socket: WebSocket) -> None:
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("news", channel)
    await socket.accept()
    await socket.send_json("listening")
    try:
        async with asyncio.timeout(20):
            await socket.send_json((await layer.receive(channel))["text"])
    finally:
        await layer.group_discard("news", channel)
        await socket.close()


@api.post("/say")
async def say(text: str) -> None:
    await get_channel_layer().group_send("news", {"type": "news", "text": text})


app = mount("/api", api)
