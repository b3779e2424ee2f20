"""Django's values where FastAPI makes JSON of them: lazy texts, and responses that an endpoint returns.

Where a route declares nothing, FastAPI's `jsonable_encoder` asks `encoders_by_class_tuples` about classes that it does
not know. Where a route declares Any, pydantic asks the class of a value for `__pydantic_serializer__`, as it does for
its own models.

Both names, of fastapi.encoders and of pydantic, are not documented; each has a canary test. Where the first is gone, a
line in the log says so. Where one is gone, these values are encoded as FastAPI does it, and nothing else changes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import fastapi.encoders
from django.http.response import HttpResponseBase
from django.utils.functional import Promise
from pydantic_core import SchemaSerializer, core_schema

from djfast_mount.django_for_api.request_layer import current_call
from djfast_mount.django_for_api.responses import send_django

__all__ = ["install"]

logger = logging.getLogger("djfast_mount")


def install() -> None:
    """Has FastAPI encode Django's values. Called by `mount()`; a second call changes nothing."""
    encoders: Any = getattr(fastapi.encoders, "encoders_by_class_tuples", None)
    if not isinstance(encoders, dict):
        logger.warning(
            "This FastAPI has no encoders_by_class_tuples: endpoints cannot return Django's responses or lazy texts."
        )
    else:
        encoders[str] = (*encoders.get(str, ()), *({Promise} - set(encoders.get(str, ()))))
        encoders[_sent_as_it_is] = (HttpResponseBase,)
    _serialize(Promise, str)
    _serialize(HttpResponseBase, _sent_as_it_is)


def _serialize(kind: Any, encode: Callable[[Any], Any]) -> None:
    schema = core_schema.any_schema(serialization=core_schema.plain_serializer_function_ser_schema(encode))
    kind.__pydantic_serializer__ = SchemaSerializer(schema)


def _sent_as_it_is(response: HttpResponseBase) -> None:
    """Has the call answered by `response`."""
    # What FastAPI makes of the None that this returns is not sent.
    call = current_call()
    if call is None:
        raise TypeError(
            f"An endpoint returned {response!r}, and its app is not served by mount(). Return one of Starlette's "
            "responses there."
        )
    call.answer_with(response, send_django)
