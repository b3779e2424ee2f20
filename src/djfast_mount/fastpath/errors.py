"""What a plan does where a request is refused, or the user's code raises.

FastAPI finds and words the errors of a request, and whatever is raised goes up inside the API's own stack, so handlers,
middleware, debug pages and logs are as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from fastapi.exceptions import RequestValidationError, ResponseValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from djfast_mount.fastpath.answer import reply_to
from djfast_mount.fastpath.eligibility import Facts
from djfast_mount.fastpath.private_names import private
from djfast_mount.fastpath.refusals import OwnParameters

__all__ = ["NOT_CALLED", "Failure", "Raised", "Watched", "refuse", "request_for", "unanswerable", "without_start"]

NOT_CALLED: Any = object()
"""The result of a dependency that has not been called."""


def request_for(scope: Scope, receive: Receive, send: Send, raw: bytes | None = None, body: Any = None) -> Request:
    """Returns the Request of a call, as it is after FastAPI has read the body.

    Args:
        raw: The body; None: it was not read.
        body: What the JSON in it holds.
    """
    request = Request(scope, receive, send)
    if raw is not None:
        state = vars(request)
        state["_body"] = raw
        # As after `await request.body()`: a handler that reads the body again gets it, and does not wait for the
        # client.
        state["_stream_consumed"] = True
        if body is not private.Undefined:
            state["_json"] = body
    return request


async def refuse(
    facts: Facts,
    request: Request,
    body: Any,
    tasks: Any,
    response: Response | None,
    results: Mapping[Any, Any],
    has_stacks: bool,
) -> Response:
    """Raises what FastAPI raises for a request that a validator has refused, or that lacks something.

    Dependencies that were called are not called again; those that FastAPI goes on with after an error are called now.
    There is a response only where it finds nothing wrong after all, since a validator has changed its mind.

    Args:
        body: What the JSON of the request holds; Undefined: there is none.
        results: Those of the dependencies so far, by FastAPI's keys; NOT_CALLED, if there is none.
        has_stacks: Whether FastAPI's exit stacks are in the scope.

    Raises: RequestValidationError.
    """
    own = _own_parameters(facts)
    # Each use of a dependency reads its parameters: where one is used twice, the second may be what is wrong.
    if len(results) == own.dependencies and all(result is not NOT_CALLED for result in results.values()):
        errors = await own.errors(request, body)
        if errors:
            raise _invalid(facts, request, errors, body)
    if not has_stacks:  # No dependency of this route enters one.
        request.scope["fastapi_inner_astack"] = request.scope["fastapi_function_astack"] = AsyncExitStack()
    solved = await private.solve_dependencies(
        request=request,
        dependant=facts.dependant,
        body=body,
        background_tasks=tasks,
        response=response,
        # FastAPI takes them from there, so that nothing of the user's runs twice.
        dependency_cache={key: result for key, result in results.items() if result is not NOT_CALLED},
        async_exit_stack=request.scope["fastapi_inner_astack"],
        embed_body_fields=facts.cells["embed_body_fields"],
    )
    if not solved.errors:
        return await _served(facts, request, solved)
    raise _invalid(facts, request, solved.errors, body)


def _own_parameters(facts: Facts) -> OwnParameters:
    known: OwnParameters | None = facts.kept.get("errors")
    if known is None:
        known = facts.kept["errors"] = OwnParameters(facts.dependant, facts.cells["embed_body_fields"])
    return known


def _invalid(facts: Facts, request: Request, errors: list[Any], body: Any) -> RequestValidationError:
    shown = None if body is private.Undefined else body
    return RequestValidationError(errors, body=shown, endpoint_ctx=_context_of(facts, request.scope))


async def _served(facts: Facts, request: Request, solved: Any) -> Response:
    """Goes on as FastAPI's handler does."""
    cells = facts.cells
    result = await private.run_endpoint_function(
        dependant=facts.dependant, values=solved.values, is_coroutine=cells["is_coroutine"]
    )
    return await reply_to(facts, result, solved, _context_of(facts, request.scope))


def unanswerable(facts: Facts, scope: Scope, errors: list[Any], result: Any) -> ResponseValidationError:
    """Returns what FastAPI raises where `result` of the endpoint is none that its response may have.

    Args:
        errors: pydantic's.
    """
    located = [{**error, "loc": ("response", *error.get("loc", ()))} for error in errors]
    return ResponseValidationError(errors=located, body=result, endpoint_ctx=_context_of(facts, scope))


def _context_of(facts: Facts, scope: Scope) -> Any:
    context = private._extract_endpoint_context(facts.dependant.call)
    if facts.dependant.path:
        mount_path = scope.get("root_path", "").rstrip("/")
        context["path"] = f"{scope['method']} {mount_path}{facts.dependant.path}"
    return context


class Watched:
    """ASGI `send` that keeps the message with which an answer began."""

    __slots__ = ("send", "start")

    def __init__(self, send: Send) -> None:
        self.send = send
        self.start: Message | None = None

    def __call__(self, message: Message) -> Any:
        if message["type"] == "http.response.start":
            self.start = message
        return self.send(message)


class Raised:
    """ASGI: raises what was raised before, where it is called.

    Args:
        box: Holds the exception. It is taken out to be raised: whatever else held it would be in a cycle with it.
        start: The message with which the answer began; None: it has not begun. It is sent again, so that every layer
            outside learns of it. Who calls sees to it that it goes no further.
    """

    __slots__ = ("_box", "start")

    def __init__(self, box: list[Exception], start: Message | None) -> None:
        self._box = box
        self.start = start

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.start is not None:
            await send(self.start)
        raise self._box.pop()


class Failure(Raised):
    """ASGI: raises what the user's code has raised as FastAPI does it, with a handler of its own around it.

    Args:
        request: The one that the handler of the route had.
        started: The message with which the answer began, or what has watched for it; None: it has not begun.
    """

    __slots__ = ("_request",)

    def __init__(self, box: list[Exception], request: Request, started: Message | Watched | None) -> None:
        super().__init__(box, started.start if isinstance(started, Watched) else started)
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await private.wrap_app_handling_exceptions(super().__call__, self._request)(scope, receive, send)


def without_start(send: Send, start: Message | None) -> Send:
    """Returns `send`, but for the very message `start`, which has been sent."""
    if start is None:
        return send

    async def send_others(message: Message) -> None:
        if message is not start:
            await send(message)

    return send_others
