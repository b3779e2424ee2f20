"""`manage.py mount_routes`: which part of the project answers which path."""

from __future__ import annotations

import json
import re
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from djfast_mount.fastpath.front import ways_of
from djfast_mount.management.find_application import find_root
from djfast_mount.management.tables import written_as_table
from djfast_mount.management.unreachable_routes import out_of_reach, shadowed
from djfast_mount.urls import Route, route_table

__all__ = ["Command"]

_HEADINGS = ("path", "methods", "name", "owner", "runs", "auth")


class Command(BaseCommand):
    """Lists the merged route table, in the order in which routes are asked."""

    help = "Lists who answers which path, both halves in one table, and warns of routes that nobody reaches."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("filter", nargs="*", help="Words that a row has to contain, in any of its columns.")
        parser.add_argument("--owner", help="Only the routes of this owner: Django, FastAPI, static, root.")
        parser.add_argument("--method", help="Only the routes that answer this method.")
        parser.add_argument(
            "--plans", action="store_true", help="Lists the routes of FastAPI: which are served by a plan, and why not."
        )
        parser.add_argument("--json", action="store_true", dest="as_json", help="Writes JSON, one object a route.")

    def handle(self, *args: Any, **options: Any) -> None:
        root = find_root()
        if options["plans"]:
            self._write_plans(root, options)
            return
        table = route_table(root)
        found = [route for route in table if _wanted(route, options)]
        warnings = shadowed(table)
        if options["as_json"]:
            # Shadows are found in the whole table: a route that is filtered out may be the one that takes the path.
            rows = [{**route._asdict(), "shadowed_by": warnings.get(place, "")} for place, route in enumerate(table)]
            self.stdout.write(
                json.dumps([row for row, route in zip(rows, table, strict=True) if route in found], indent=2)
            )
            return
        self.stdout.write(written_as_table(_HEADINGS, [_row(route) for route in found], self.stdout))
        self.stdout.write(f"{len(found)} of {len(table)} routes")
        for place, by in warnings.items():
            self.stderr.write(self.style.WARNING(f"{table[place].path} is never reached: {by} answers first."))
        for path, prefix in out_of_reach(root):
            self.stderr.write(self.style.WARNING(f"{path} is never reached: all of {prefix} is another app's."))

    def _write_plans(self, root: Starlette, options: dict[str, Any]) -> None:
        apis = [(route.path, route.app) for route in root.routes if isinstance(route, Mount)]
        ways = [way for prefix, api in apis if isinstance(api, FastAPI) for way in ways_of(api, prefix)]
        rows = [
            (way.path, " ".join(way.methods), "FastAPI" if way.plan is None else "plan", way.reason) for way in ways
        ]
        found = [row for row in rows if all(word.lower() in " ".join(row).lower() for word in options["filter"])]
        if options["as_json"]:
            names = ("path", "methods", "served_by", "reason")
            self.stdout.write(json.dumps([dict(zip(names, row, strict=True)) for row in found], indent=2))
            return
        self.stdout.write(written_as_table(("path", "methods", "served by", "reason"), found, self.stdout))
        self.stdout.write(f"{sum(way.plan is not None for way in ways)} of {len(ways)} routes are served by a plan")


def _wanted(route: Route, options: dict[str, Any]) -> bool:
    if (owner := options["owner"]) and route.owner.lower() != owner.lower():
        return False
    # A Django view has no list of methods: it may answer any.
    if (method := options["method"]) and route.methods and method.upper() not in route.methods:
        return False
    row = " ".join(_row(route)).lower()
    return all(re.search(re.escape(word.lower()), row) for word in options["filter"])


def _row(route: Route) -> tuple[str, ...]:
    runs = "async" if route.is_async else "sync"
    return route.path, " ".join(route.methods), route.name, route.owner, runs, route.auth
