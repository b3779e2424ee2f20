"""What the routes of a resource answer, for OpenAPI alone: its endpoints make their responses themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ConfigDict, GetCoreSchemaHandler

__all__ = ["made_later"]


def made_later(make: Callable[[], Any]) -> Any:
    """Returns a type that is to OpenAPI what `make` returns, which is called when the document is made.

    Building the answers of every route would be half of what a router costs at the start.
    """

    class MadeLater:
        # FastAPI hands the type to a TypeAdapter, which asks types that are no models for their configuration here.
        __pydantic_config__ = ConfigDict(defer_build=True)

        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
            return handler.generate_schema(make())

    return MadeLater
