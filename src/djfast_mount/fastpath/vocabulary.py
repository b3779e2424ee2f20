"""The objects that the written source of every plan may name."""

from __future__ import annotations

from contextlib import AsyncExitStack, contextmanager
from operator import itemgetter
from typing import Any

from fastapi import BackgroundTasks, routing
from fastapi.dependencies import utils
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import FastAPIError
from fastapi.security.oauth2 import SecurityScopes
from pydantic_core import ValidationError
from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response

from djfast_mount.fastpath import answer, body, errors, jobs, parameters
from djfast_mount.fastpath.eligibility import Facts
from djfast_mount.fastpath.private_names import private
from djfast_mount.fastpath.yield_dependencies import Entry
from djfast_mount.offload.current import KEY

__all__ = ["objects_for"]

# FastAPI looks these up with each call, and tools put others in their places.
_LOOKED_UP = ("run_endpoint_function", "serialize_response", "solve_dependencies", "run_in_threadpool")
_READING = ("request_params_to_args", "request_body_to_args")


def objects_for(facts: Facts) -> dict[str, Any]:
    """Returns them by their names."""
    return {
        "APP": facts.app,
        "AsyncExitStack": AsyncExitStack,
        "BackgroundTasks": BackgroundTasks,
        "EFFECTIVE": facts.effective,
        "ENTERING": private.contextmanager_in_threadpool,
        "Entry": Entry,
        "FACTS": facts,
        "FastAPIError": FastAPIError,
        "FOUND": tuple(getattr(private, name) for name in _LOOKED_UP),
        "GLOBALS": vars(routing),
        "Headers": Headers,
        "JSON": (b"content-type", b"application/json"),
        "LOOKED_UP": itemgetter(*_LOOKED_UP),
        "NOT_AWAITED": private.not_awaited,
        "NOT_CALLED": errors.NOT_CALLED,
        "READERS": tuple(getattr(private, name) for name in _READING),
        "READING": itemgetter(*_READING),
        "REQUEST": KEY,
        "Response": Response,
        "SOLVING": vars(utils),
        "SecurityScopes": SecurityScopes,
        "Undefined": private.Undefined,
        "ValidationError": ValidationError,
        "Watched": errors.Watched,
        "body": private.Undefined,  # where a route reads no body; so it is with raw, response and tasks
        "build_reply": answer.build_reply,
        "contextmanager": contextmanager,
        "cookies_of": parameters.cookies_of,
        "encoded": answer.encoded,
        "jsonable_encoder": jsonable_encoder,
        "injected_response": answer.injected_response,
        "PROVIDER": facts.cells["dependency_overrides_provider"],
        "QueryParams": QueryParams,
        "ROUTE": vars(facts.route),
        "pairs_of": parameters.pairs_of,
        "query_of": parameters.query_of,
        "raw": None,
        "read_model": private._request_param_model_to_args,
        "receive_json": body.receive_json,
        "refuse": errors.refuse,
        "request_for": errors.request_for,
        "response": None,
        "run_in_thread": private.run_in_threadpool,
        "run_last": jobs.run_last,
        "solve_generator": private._solve_generator,
        "tasks": None,
        "unanswerable": errors.unanswerable,
    }
