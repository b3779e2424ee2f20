"""The API of the tests of uploads: mounted, and alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Form, UploadFile

from djfast_mount import mount


def plain_dependency() -> str:
    return "plain"


async def async_dependency() -> str:
    return "async"


def yielding_dependency() -> Iterator[str]:
    yield "yielding"


DEPENDENCIES = {"none": None, "plain": plain_dependency, "async": async_dependency, "yielding": yielding_dependency}


def digest(name: str | None, content: bytes) -> tuple[str | None, int, str]:
    return name, len(content), hashlib.sha256(content).hexdigest()


def add_endpoints(api: FastAPI) -> FastAPI:
    """Gives `api` a `def` and an ``async def`` endpoint for files, with each kind of dependency."""
    for name, dependency in DEPENDENCIES.items():
        needs = [] if dependency is None else [Depends(dependency)]

        @api.post(f"/def/{name}", dependencies=needs)
        def plain(files: list[UploadFile], note: Annotated[str, Form()] = "") -> Any:
            return [note, [digest(file.filename, file.file.read()) for file in files]]

        @api.post(f"/async/{name}", dependencies=needs)
        async def coroutine(files: list[UploadFile], note: Annotated[str, Form()] = "") -> Any:
            return [note, [digest(file.filename, await file.read()) for file in files]]

    return api


alone = FastAPI()
alone.mount("/api", add_endpoints(FastAPI()))
app = mount("/api", add_endpoints(FastAPI()), max_body_size=400 * 2**20)
