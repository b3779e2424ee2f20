"""Dependencies that would not be called are refused at the start."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Query

from djfast_mount import mount
from djfast_mount.apis import misplaced_dependencies, tree
from djfast_mount.auth import CurrentUser
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.transactions import Atomic


def with_user(user: Any = CurrentUser) -> str:
    return "open"


def with_transaction(item_id: int = 1, *, tx: Any = Atomic) -> str:
    return "open"


def below(found: Annotated[str, Depends(with_user)]) -> str:
    return found


@functools.wraps(with_user)
def decorated(*args: Any, **kwargs: Any) -> str:
    return with_user(*args, **kwargs)


class Called:
    def __call__(self, user: Any = CurrentUser) -> str:
        return "open"


class Made:
    def __init__(self, user: Any = CurrentUser) -> None: ...


def of_a_class(made: Annotated[Made, Depends()]) -> str:
    return "open"


ENDPOINTS: list[tuple[Any, str]] = [
    *((with_user, "user"), (with_transaction, "tx"), (below, "user"), (decorated, "user"), (Called(), "user")),
    *((functools.partial(with_user), "user"), (of_a_class, "user")),
]


@pytest.mark.parametrize("included", [False, True])
@pytest.mark.parametrize(("endpoint", "name"), ENDPOINTS)
def test_an_annotated_dependency_as_a_default_is_an_error(endpoint: Any, name: str, included: bool) -> None:
    """`user=CurrentUser` would ask nobody who they are, in endpoints, in dependencies, and in included routers."""
    api, router = FastAPI(), APIRouter()
    (router if included else api).get("/closed")(endpoint)
    api.include_router(router)
    with pytest.raises(ConfigurationError, match=f"default of its parameter '{name}'"):
        mount("/api", api)


def without(name: str) -> Callable[..., Any]:
    """Returns a `getattr` that does not find `name`."""
    return lambda found, asked, *default: getattr(found, "nothing" if asked == name else asked, *default)


@pytest.mark.parametrize("renamed", [None, "original_router", "include_context"])
@pytest.mark.parametrize("place", ["app", "router", "inclusion", "endpoint"])
def test_so_it_is_among_the_dependencies_of_many_routes(
    place: str, renamed: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dependency of the app, of a router or of its inclusion is looked at as well, whatever FastAPI calls these."""
    given = {place: [Depends(with_user)]}
    api, router = FastAPI(dependencies=given.get("app")), APIRouter(dependencies=given.get("router"))
    router.get("/closed")(with_user if place == "endpoint" else lambda: "open")
    api.include_router(router, dependencies=given.get("inclusion"))
    if renamed is not None:
        # Deleted for us alone: FastAPI goes on to use it.
        assert [route for route in api.routes if hasattr(route, renamed)]
        for room in (misplaced_dependencies, tree):
            monkeypatch.setattr(room, "getattr", without(renamed), raising=False)
    with pytest.raises(ConfigurationError, match="default of its parameter 'user'"):
        mount("/api", api)


def test_other_defaults_are_the_projects_own() -> None:
    """A default that is no annotated dependency is left to FastAPI, and a class may be a dependency."""

    class Page:
        def __init__(self, size: Annotated[int, Query()] = 10, *, kind: Any = Annotated[int, "a note"]) -> None:
            self.size = size

    api = FastAPI()

    @api.get("/pages")
    def pages(page: Annotated[Page, Depends()], user: Any = Depends(lambda: None)) -> int:  # noqa: B008
        return page.size

    mount("/api", api)
