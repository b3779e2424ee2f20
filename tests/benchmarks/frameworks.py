"""What is beside FastAPI: Starlette with its parameters read by hand. It validates nothing but what it is told to."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

ITEMS: list[dict[str, Any]] = [{"number": number, "name": f"item {number}", "limit": number} for number in range(100)]


async def hello(request: Request) -> Response:
    return JSONResponse({"hello": "world"})


async def read(request: Request) -> Response:
    query = request.query_params
    return JSONResponse(
        {"number": int(request.path_params["number"]), "name": query["name"], "limit": int(query.get("limit", "10"))}
    )


async def order(request: Request) -> Response:
    found = from_json(await request.body())
    return JSONResponse({"number": found["number"], "lines": len(found["lines"])})


async def items(request: Request) -> Response:
    return Response(to_json(ITEMS), media_type="application/json")


def starlette_api() -> Starlette:
    """The API at /api."""
    return Starlette(
        routes=[
            Route("/api/hello", hello),
            Route("/api/items/{number}", read),
            Route("/api/orders", order, methods=["POST"]),
            Route("/api/list", items),
        ]
    )
