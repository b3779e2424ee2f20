"""Operations that Django's half still answers, in the schema and so on the docs pages of a FastAPI.

For an API of django-ninja or Django REST framework that moves to FastAPI route by route: see docs/api-docs.md.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

from django.urls import get_script_prefix
from fastapi import FastAPI

__all__ = ["add_operations"]

_COMPONENT = "#/components/{}/{}"


def add_operations(api: FastAPI, schema: Callable[[], Mapping[str, Any]], *, prefix: str) -> None:
    """Shows the operations of another OpenAPI schema in that of `api`. Call it once, before `mount()`.

    A path that `api` has itself is not shown a second time: its route is asked first. A component of the other schema
    that has the name of another one here is renamed.

    Args:
        schema: Returns the other schema: ``ninja_api.get_openapi_schema``, say. Called on the event loop, when `api`
            has made its own schema; it may not ask the database.
        prefix: The path under which `api` is mounted. The other schema's paths begin with it; others are left out.
    """
    openapi = api.openapi
    kept: list[Any] = [None, None]

    def merged() -> dict[str, Any]:
        own = openapi()
        if kept[0] is not own:
            kept[:] = own, _merged(own, schema(), prefix.rstrip("/"))
        return kept[1]  # type: ignore[no-any-return]

    api.openapi = merged  # type: ignore[method-assign]


def _merged(own: Mapping[str, Any], other: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    whole: dict[str, Any] = copy.deepcopy(dict(own))
    # By way of JSON: a schema may be made of classes of its library's.
    theirs: dict[str, Any] = json.loads(json.dumps(other, default=str))
    theirs = _renamed(theirs, whole.get("components", {}))
    paths = whole.setdefault("paths", {})
    outer = get_script_prefix().rstrip("/")  # Django's own reverse() may have put it there.
    for whole_path, item in theirs.get("paths", {}).items():
        path = whole_path.removeprefix(outer)
        if f"{path}/".startswith(f"{prefix}/"):
            paths.setdefault(path.removeprefix(prefix) or "/", item)
    components = whole.setdefault("components", {})
    for kind, named in theirs.get("components", {}).items():
        components[kind] = {**named, **components.get(kind, {})}
    tags = [tag for tag in theirs.get("tags", []) if tag not in whole.get("tags", [])]
    return {**whole, "tags": [*whole.get("tags", []), *tags]} if tags else whole


def _renamed(theirs: dict[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """The other schema, no component of which has the name of another one of ours."""
    text = json.dumps(theirs)
    renamed = {}
    for kind, named in theirs.get("components", {}).items():
        for name, component in named.items():
            if ours.get(kind, {}).get(name, component) != component:
                renamed[kind, name] = f"Django{name}"
                text = text.replace(
                    f'"{_COMPONENT.format(kind, name)}"', f'"{_COMPONENT.format(kind, "Django" + name)}"'
                )
    whole: dict[str, Any] = json.loads(text)
    for (kind, name), other in renamed.items():
        whole["components"][kind][other] = whole["components"][kind].pop(name)
    return whole
