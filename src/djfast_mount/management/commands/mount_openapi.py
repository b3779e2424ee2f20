"""`manage.py mount_openapi`: the schema of each API, without a server."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from starlette.routing import Mount

from djfast_mount.apis.tree import fastapis_in
from djfast_mount.management.find_application import find_root
from djfast_mount.routing.placement import outer_of
from djfast_mount.routing.root_interface import Root
from djfast_mount.spelling import did_you_mean

__all__ = ["Command"]

# Lines of a difference that are shown.
_SHOWN = 40


class Command(BaseCommand):
    """Writes OpenAPI as the API serves it. With --check it compares, and ends with status 1 where the two differ."""

    help = "Writes the OpenAPI schema of the mounted APIs: for generators of clients, and for CI with --check."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("prefix", nargs="?", help='The API, by its path: "/api". Needed where there are several.')
        parser.add_argument("--output", type=Path, help="The file to write; without it, the schema is printed.")
        parser.add_argument("--check", action="store_true", help="Writes nothing: is the file as it would be written?")

    def handle(self, *args: Any, **options: Any) -> None:
        schemas = _schemas(find_root())
        # Keys in FastAPI's order, not sorted: the file is read by people too, and its differences are to be those of
        # the code.
        text = json.dumps(_chosen(schemas, options["prefix"]), indent=2, ensure_ascii=False) + "\n"
        file: Path | None = options["output"]
        if options["check"]:
            self._compare(file, text)
        elif file is None:
            self.stdout.write(text, ending="")
        else:
            file.write_text(text, encoding="utf-8")

    def _compare(self, file: Path | None, text: str) -> None:
        if file is None:
            raise CommandError("--check compares with a file: name it, --output openapi.json.")
        # A file that is not there differs: CI must not pass because somebody has deleted it.
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        if before == text:
            return
        lines = list(difflib.unified_diff(before.splitlines(), text.splitlines(), str(file), "the API", lineterm=""))
        self.stderr.write("\n".join(lines[:_SHOWN]))
        raise CommandError(f"{file} is not the schema of the API: run mount_openapi with --output {file}.")


def _schemas(root: Root) -> dict[str, dict[str, Any]]:
    """The schema of each FastAPI that shows one, by its path inside of the outer prefix."""
    outer = outer_of(settings.FORCE_SCRIPT_NAME or "", root.django_prefix)
    return {
        found.path or "/": _with_server(found.app, outer + found.path)
        for route in root.routes
        if isinstance(route, Mount)
        for found in fastapis_in(route.app, route.path)
        if found.app.openapi_url
    }


def _with_server(api: Any, root_path: str) -> dict[str, Any]:
    """As FastAPI itself does it for a request."""
    schema: dict[str, Any] = api.openapi()
    servers = schema.get("servers", [])
    # Prepended to the list and never written into the app's own schema, which is cached for requests
    # (fastapi.applications).
    if not root_path or not api.root_path_in_servers or root_path in {server.get("url") for server in servers}:
        return schema
    return {**schema, "servers": [{"url": root_path}, *servers]}


def _chosen(schemas: Mapping[str, dict[str, Any]], prefix: str | None) -> dict[str, Any]:
    named = ", ".join(map(repr, schemas)) or "none"
    if prefix is None:
        if len(schemas) != 1:
            raise CommandError(f"The APIs with a schema are {named}. Name the one to write: mount_openapi /api.")
        return next(iter(schemas.values()))
    if prefix not in schemas:
        raise CommandError(f"No API at {prefix!r} has a schema. {did_you_mean(prefix, schemas, f'There are {named}.')}")
    return schemas[prefix]
