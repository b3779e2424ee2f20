from contextlib import asynccontextmanager

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import close_old_connections
from fastapi import FastAPI


@asynccontextmanager
async def lifespan(app):
    yield


api = FastAPI()


@api.middleware("http")
async def close_connections(request, call_next):
    await sync_to_async(close_old_connections)()
    try:
        return await call_next(request)
    finally:
        await sync_to_async(close_old_connections)()


@api.get("/users")
def users() -> list[str]:
    return list(User.objects.order_by("username").values_list("username", flat=True))
