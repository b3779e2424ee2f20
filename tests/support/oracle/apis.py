"""APIs that are made of choices, twice the same, and that note every call."""

from __future__ import annotations

import contextvars
import datetime
import enum
import functools
import inspect
import re
import threading
import uuid
import weakref
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

from fastapi import (
    APIRouter,
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Path,
    Query,
    Request,
    Response,
    Security,
)
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer, SecurityScopes
from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, Json, field_serializer

from oracle.calls import cancelled

T = TypeVar("T")
Pick = Callable[[Sequence[Any]], Any]

seen: contextvars.ContextVar[str] = contextvars.ContextVar("oracle_seen", default="unset")


class Handled(Exception):
    """An exception that the API has a handler for."""


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    a: int
    b: str = "x"
    tags: list[str] = Field(default_factory=list)
    when: datetime.date | None = None


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    a: int
    pair: tuple[int, str] | None = None


class Filters(BaseModel):
    limit: int = 10
    tags: list[str] = []
    order_by: str = Field("a", alias="orderBy")


class Odd(BaseModel):
    a: int
    b: float = Field(default=1.5, serialization_alias="bee")

    @field_serializer("a")
    def double(self, value: int) -> int:
        return value * 2


class Tracked:
    """What a request leaves behind if something holds on to it."""


def without_places(text: str) -> str:
    """Returns `text` without the places in memory of the objects that it shows."""
    return re.sub(r" at 0x[0-9a-f]+", "", text)


class Log:
    """What an API has done for one request."""

    def __init__(self) -> None:
        self.events: list[Any]
        self.tracked: list[weakref.ref[Any]]
        self.loop_thread = threading.get_ident()
        self.names: list[str] = []  # under which parameters may be sent
        self.prefix = ""  # of the route
        self.clear()

    def clear(self, cancelled_at: tuple[str, int] | None = None) -> None:
        """Begins a request. A task whose ``("call", number)`` is to be cancelled is, in that call that can wait."""
        self.events, self.tracked = [], []
        self.waits = 0
        self.cancelled_at = cancelled_at

    async def wait(self, values: dict[str, Any]) -> None:
        """What a call does that can wait: it is cancelled, or asks whether the client is still there."""
        if self.cancelled_at == ("call", self.waits):
            await cancelled()
        self.waits += 1
        request = values.get("request")
        if request is not None and len(values) % 2:
            self.add("disconnected", await request.is_disconnected())

    def add(self, *event: Any) -> None:
        self.events.append(event)

    def where(self) -> str:
        return "loop" if threading.get_ident() == self.loop_thread else "thread"

    def track(self, thing: Any) -> Any:
        self.tracked.append(weakref.ref(thing))
        return thing


def shown(value: Any) -> Any:
    """What can be compared of a value that a call was given."""
    if isinstance(value, Request):
        state = vars(value)
        body = state.get("_body"), repr(state.get("_json", "none")), state.get("_stream_consumed")
        return "request", dict(value.path_params), str(value.query_params), value.headers.raw, value.cookies, body
    if isinstance(value, Response):
        return "response", value.status_code, list(value.headers.raw)
    if isinstance(value, BackgroundTasks):
        return "tasks", len(value.tasks)
    if isinstance(value, SecurityScopes):
        return "scopes", value.scopes
    if isinstance(value, Tracked):
        return "tracked"
    if isinstance(value, set):
        return "set", sorted(map(repr, value))
    return type(value).__name__, repr(value)


# Parameters ---------------------------------------------------------------------------------------------------------


def _logged(log: Log, name: str, raises: Exception | None, before: bool = False) -> Any:
    def validate(value: Any) -> Any:
        log.add("validator", name, repr(value))
        if raises is not None:
            raise raises
        return value

    return BeforeValidator(validate) if before else AfterValidator(validate)


SCALARS: list[Any] = [
    int,
    str,
    float,
    bool,
    str | None,
    int | None,
    Colour,
    Literal["a", "7"],
    datetime.date,
    uuid.UUID,
]
SEQUENCES: list[Any] = [list[int], list[str], set[str], tuple[int, ...], list[str] | None]
BODIES: list[Any] = [
    Item,
    Strict,
    list[Item],
    dict[str, int],
    int,
    str,
    Item | None,
    list[int],
    Any,
    Item | Strict,
    bytes,
]


def _default(pick: Pick, annotation: Any, log: Log, name: str) -> dict[str, Any]:
    kind = pick(["required", "none", "value", "list", "factory", "validated"])
    if kind == "none":
        return {"default": None}
    if kind == "value":
        return {"default": "7"}
    if kind == "list":
        return {"default": [7]}
    if kind == "validated":
        return {"default": "7", "validate_default": True}
    if kind == "factory":

        def make() -> Any:
            log.add("factory", name)
            return [1]

        return {"default_factory": make}
    return {}


def parameter(pick: Pick, log: Log, number: int, source: str) -> inspect.Parameter:
    """A parameter from the query string, the headers, the cookies or the body."""
    name = pick(["p", "q_name", "x_y"]) + str(number)
    if source == "body":
        annotation = pick(BODIES)
        options: dict[str, Any] = {"embed": pick([None, None, True])}
        kind: Any = Body
    else:
        kind = {"query": Query, "header": Header, "cookie": Cookie}[source]
        annotation = pick([*SCALARS, *SEQUENCES, Json, Json[list[int]] if source == "query" else int])
        if source == "query" and pick([False] * 5 + [True]):
            annotation = pick([Filters, Filters | None])
        options = {}
    options |= _default(pick, annotation, log, name)
    alias = pick(["", "", "", "alias", "choices"])
    if alias == "alias":
        options["alias"] = f"al{number}"
    elif alias == "choices":
        options["validation_alias"] = AliasChoices(f"one{number}", f"two-{number}")
    if annotation in (Filters, Filters | None):
        options = {"default": None} if annotation != Filters else {}
    default = options.pop("default", inspect.Parameter.empty)
    log.names += {"alias": [f"al{number}"], "choices": [f"one{number}", f"two-{number}"]}.get(alias, [name])
    if annotation in (Filters, Filters | None):
        log.names += ["limit", "tags", "orderBy", "extra"]
    extra: list[Any] = []
    if pick([False] * 4 + [True]):
        raises = pick([None, None, None, ValueError("no"), HTTPException(409, "conflict"), ZeroDivisionError("zero")])
        extra.append(_logged(log, name, raises, before=pick([False, True])))
    marked = Annotated[(annotation, *extra, kind(**options))]  # type: ignore[misc]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=marked, default=default)


def path_parameter(pick: Pick, name: str) -> inspect.Parameter:
    annotation = pick([int, str, float, Colour, uuid.UUID])
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[annotation, Path()])


_SPECIALS = {"request": Request, "response": Response, "tasks": BackgroundTasks, "scopes": SecurityScopes}


def special(name: str) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=_SPECIALS[name])


# Calls --------------------------------------------------------------------------------------------------------------

_RAISED: dict[str, Callable[[], BaseException]] = {
    "http": lambda: HTTPException(418, "teapot", headers={"x-tea": "1"}),
    "204": lambda: HTTPException(204),
    "value": lambda: ValueError("wrong"),
    "handled": lambda: Handled("handled"),
}


def acts(pick: Pick, log: Log, name: str) -> Callable[[dict[str, Any]], None]:
    """What a call does besides returning: it notes itself, and may change what it was given, or raise."""
    deed = pick(["", "", "", "", "header", "path", "status", "task", "mutate", "append", "cookie"])
    raised = pick([""] * 24 + list(_RAISED))

    def act(values: dict[str, Any]) -> None:
        log.add("call", name, log.where(), {key: shown(value) for key, value in values.items()})
        request, response, tasks = values.get("request"), values.get("response"), values.get("tasks")
        if deed == "header" and request is not None:
            request.scope["headers"].append((b"p0", b"7"))
            request.scope["headers"].append((b"q-name1", b"8"))
        if deed == "path" and request is not None:
            request.scope["path_params"]["k"] = "99"
        if deed == "mutate" and request is not None:
            request.scope["query_string"] = b"p0=55"
        if response is not None:
            response.headers[f"x-{name}"] = "yes"
            if deed == "status":
                response.status_code = 206
            if deed == "cookie":
                response.set_cookie("c", "v")
        if tasks is not None and deed == "task":
            tasks.add_task(log.add, "task", name)
        if deed == "append":
            for value in values.values():
                if isinstance(value, list):
                    value.append(9)
        if raised:
            raise log.track(_RAISED[raised]())

    return act


def callable_of(
    kind: str, parameters: list[inspect.Parameter], act: Callable[[dict[str, Any]], Any], log: Log, name: str, ends: str
) -> Any:
    """A function, generator, class or object that takes `parameters` and does `act`."""

    async def coroutine(**values: Any) -> Any:
        before = seen.get()
        log.add("context", name, before)
        seen.set(name)
        await log.wait(values)
        return act(values)

    def plain(**values: Any) -> Any:
        return act(values)

    def generator(**values: Any) -> Any:
        result = act(values)
        try:
            yield result
        except Exception as error:
            log.add("except", name, type(error).__name__, without_places(str(error)))
            if ends == "swallow":
                return
            if ends == "other":
                raise Handled("from a generator") from error
            raise
        finally:
            log.add("exit", name)

    async def async_generator(**values: Any) -> Any:
        await log.wait(values)
        result = act(values)
        try:
            yield result
        except Exception as error:
            log.add("except", name, type(error).__name__, without_places(str(error)))
            if ends == "swallow":
                return
            if ends == "other":
                raise Handled("from a generator") from error
            raise
        finally:
            log.add("exit", name)

    class Called:
        async def __call__(self, **values: Any) -> Any:
            await log.wait(values)
            return act(values)

    class Made:
        def __init__(self, **values: Any) -> None:
            act(values)

        def __repr__(self) -> str:
            return "Made"

    signature = inspect.Signature(parameters)
    if kind == "object":
        called = Called()
        self_parameter = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        Called.__call__.__signature__ = signature.replace(parameters=[self_parameter, *parameters])  # type: ignore[attr-defined]
        return called
    if kind == "class":
        Made.__signature__ = signature  # type: ignore[attr-defined]
        return Made
    functions: dict[str, Any] = {
        "coroutine": coroutine,
        "plain": plain,
        "generator": generator,
        "async generator": async_generator,
        "partial": functools.partial(coroutine),
    }
    function = functions[kind]
    if kind != "partial":
        function.__name__ = name
    function.__signature__ = signature
    return function


KINDS = ["coroutine", "coroutine", "coroutine", "plain", "class", "object", "partial", "generator", "async generator"]
ASYNC_KINDS = ["coroutine", "object", "partial", "async generator"]


def dependency(pick: Pick, log: Log, number: int, known: list[Any], kinds: list[str]) -> Any:
    """One dependency, which may depend on those that are `known`, as an annotation's second part."""
    name = f"dep{number}"
    kind = pick(kinds)
    parameters = _parameters(pick, log, number * 10, ["query", "header", "cookie"])
    parameters += [special(each) for each in _SPECIALS if pick([False, False, False, True])]
    parameters += _dependencies_in(pick, known, 2, name)
    act = acts(pick, log, name)

    def result(values: dict[str, Any]) -> Any:
        act(values)
        return log.track(Tracked()) if name == "dep0" else (name, len(values))

    ends = pick(["raise", "raise", "raise", "swallow", "other"])
    call = callable_of(kind, parameters, result, log, name, ends)
    use_cache = pick([True] * 14 + [False])
    if pick([False] * 4 + [True]):
        return Security(call, scopes=pick([["a"], ["a", "b"]]), use_cache=use_cache)
    scope = pick([None, "function"]) if "generator" in kind else None
    return Depends(call, use_cache=use_cache, scope=scope)


def _parameters(pick: Pick, log: Log, number: int, sources: list[str]) -> list[inspect.Parameter]:
    count = pick([0, 1, 1, 2])
    return [parameter(pick, log, pick([0, 1, number]) * 10 + each, pick(sources)) for each in range(count)]


def _dependencies_in(pick: Pick, known: list[Any], most: int, name: str) -> list[inspect.Parameter]:
    chosen = [pick(known) for _ in range(pick(range(most + 1)))] if known else []
    return [
        inspect.Parameter(f"{name}_{number}", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[Any, depends])
        for number, depends in enumerate(chosen)
    ]


# Endpoints ----------------------------------------------------------------------------------------------------------


class Streamed:
    async def __aiter__(self) -> Any:
        yield b"a"
        yield b"b"


def _results(log: Log) -> dict[str, Callable[[], Any]]:
    return {
        "dict": lambda: {"a": 1, "b": "é", "n": None, "f": 1.5, "l": [1, True]},
        "item": lambda: Item(a=1, tags=["t"]),
        "items": lambda: [Item(a=number) for number in range(3)],
        "wrong": lambda: {"a": "no"},
        "odd keys": lambda: {1: 2, "_sa_x": 3, (1,): 2} if False else {1: 2, "_sa_x": 3},
        "tuple": lambda: (1, {2}, uuid.UUID(int=1)),
        "nan": lambda: {"a": float("nan")},
        "none": lambda: None,
        "text": lambda: "text \u2028",
        "deep": lambda: functools.reduce(lambda inner, _: [inner], range(30), []),
        "surrogate": lambda: "\ud800",
        "response": lambda: Response(b"raw", 202, {"x-own": "1"}),
        "json response": lambda: JSONResponse({"own": 1}),
        "html": lambda: HTMLResponse("<p>"),
        "stream": lambda: StreamingResponse(Streamed()),
        "broken stream": lambda: StreamingResponse(_broken()),
        "with task": lambda: _with_task(log),
        "odd": lambda: Odd(a=2),
        "bytes": lambda: b"bytes",
    }


async def _broken() -> Any:
    yield b"a"
    raise Handled("in the stream")


def _with_task(log: Log) -> Response:
    tasks = BackgroundTasks()
    tasks.add_task(log.add, "own task")
    return JSONResponse({}, background=tasks)


_OPTIONS: list[dict[str, Any]] = [
    {},
    {},
    {"response_model_exclude_unset": True},
    {"response_model_include": {"a"}},
    {"response_model_by_alias": False},
]


def endpoint(pick: Pick, log: Log, known: list[Any], path: str, *, only_async: bool) -> tuple[Any, dict[str, Any]]:
    """An endpoint, and the options of its route."""
    kind = "coroutine" if only_async else pick(["coroutine", "coroutine", "plain", "partial"])
    sources = pick([["query"], ["query", "header", "cookie"], ["body"], ["query", "body"]])
    parameters = _parameters(pick, log, 5, sources)
    parameters = list({each.name: each for each in parameters}.values())
    if "{k" in path:
        parameters.append(path_parameter(pick, "k"))
    parameters += [special(each) for each in _SPECIALS if pick([False, False, False, True])]
    parameters += _dependencies_in(pick, known, 3, "end")
    result = pick(list(_results(log)))
    act = acts(pick, log, "endpoint")

    def behave(values: dict[str, Any]) -> Any:
        act(values)
        return _results(log)[result]()

    call = callable_of(kind, parameters, behave, log, "endpoint", "raise")
    options: dict[str, Any] = {}
    model = pick([None, None, None, Item, list[Item], Odd, dict[str, Any], Any, int | None])
    status = pick([None, None, None, 201, 204, 205, 304])
    if model is not None and status not in (204, 205, 304):
        options["response_model"] = model
        options |= pick(
            [
                {},
                {},
                {"response_model_exclude_unset": True},
                {"response_model_include": {"a"}},
                {"response_model_by_alias": False},
            ]
        )
    if status is not None:
        options["status_code"] = status
    options |= pick([{}] * 6 + [{"response_class": PlainTextResponse}, {"response_class": JSONResponse}])
    if pick([False] * 4 + [True]) and known:
        options["dependencies"] = [pick(known)]
    return call, options


def make_api(pick: Pick, log: Log, *, only_async: bool) -> FastAPI:
    """An API with one generated route, at ``/r`` or with a parameter, direct, included or mounted."""
    options: dict[str, Any] = {"openapi_url": None}
    known: list[Any] = [Depends(HTTPBearer(auto_error=False))]
    kinds = ASYNC_KINDS if only_async else KINDS
    for number in range(pick([0, 0, 1, 2, 3])):
        known.append(dependency(pick, log, number, known, kinds))
    if pick([False] * 5 + [True]):
        options["dependencies"] = [pick(known)]
    api = FastAPI(**options)
    if pick([False, True]):

        async def handle(request: Request, error: Exception) -> Response:
            log.add("handler", type(error).__name__, shown(request), await request.body())
            return JSONResponse({"handled": str(error)}, 409)

        api.add_exception_handler(Handled, handle)
    if pick([False] * 3 + [True]):

        async def last(request: Request, error: Exception) -> Response:
            log.add("last", type(error).__name__)
            return PlainTextResponse("last", 500)

        api.add_exception_handler(pick([500, Exception]), last)
    if pick([False] * 3 + [True]):
        api.add_middleware(Noting, log=log)
    path = pick(["/r", "/r/{k}", "/r/{k:int}", "/r/{k:path}"])
    call, route_options = endpoint(pick, log, known, path, only_async=only_async)
    where = pick(["direct", "direct", "included", "nested", "mounted"])
    log.prefix = {"direct": "", "mounted": "/m", "included": "/i/v1", "nested": "/i/o/v1"}[where]
    if where == "direct":
        api.add_api_route(path, call, methods=["POST", "GET"], **route_options)
    elif where == "mounted":
        below = FastAPI(openapi_url=None)
        below.add_api_route(path, call, methods=["POST", "GET"], **route_options)
        api.mount("/m", below)
    else:
        router = APIRouter(prefix="/v1", dependencies=[pick(known)] if pick([False, True]) else None)
        router.add_api_route(path, call, methods=["POST", "GET"], **route_options)
        if where == "nested":
            outer = APIRouter()
            outer.include_router(router, prefix="/o")
            router = outer
        api.include_router(router, prefix="/i")
    if pick([False] * 7 + [True]) and len(known) > 1:
        api.dependency_overrides[known[-1].dependency] = lambda: "overridden"
    return api


def _added(log: Log) -> Any:
    async def added() -> str:
        log.add("added")
        return "added"

    return added


def _noting(log: Log, name: str) -> Any:
    async def noting(**values: Any) -> None:
        log.add(name, sorted(values))

    noting.__name__ = name
    return noting


def change(pick: Pick, log: Log, api: FastAPI) -> None:
    """Changes a running API, as projects do it, or does nothing."""
    kind = pick(["nothing"] * 60 + ["inserted", "replaced", "call", "app", "override", "sub call", "method"])
    places = [number for number, route in enumerate(api.router.routes) if isinstance(route, APIRoute)]
    if kind == "nothing" or not places:
        return
    place = places[-1]
    route: Any = api.router.routes[place]
    if kind == "inserted":
        api.add_api_route(route.path, _added(log), methods=["GET", "POST"])
        api.router.routes.insert(0, api.router.routes.pop())
    elif kind == "replaced":
        api.router.routes[place] = APIRoute(route.path, _added(log), methods=["GET", "POST"])
    elif kind == "call":
        route.dependant.call = _noting(log, "replaced")
    elif kind == "app":

        async def app(scope: Any, receive: Any, send: Any) -> None:
            log.add("app")
            await PlainTextResponse("app")(scope, receive, send)

        route.app = app
    elif kind == "method":
        route.methods = {"PUT"}
    elif route.dependant.dependencies:
        below = route.dependant.dependencies[0]
        if kind == "override":
            api.dependency_overrides[below.call] = lambda: "overridden"
        else:
            below.call = _noting(log, "other")


class Noting:
    """Middleware that notes what is in the scope afterwards."""

    def __init__(self, app: Any, log: Log) -> None:
        self.app = app
        self.log = log

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def note(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-noted", b"1"))
            await send(message)

        try:
            await self.app(scope, receive, note)
        finally:
            self.log.add("scope", scope_seen(scope))


def scope_seen(scope: Any) -> Any:
    """What an outer layer may look at in a scope afterwards."""
    route = scope.get("route")
    endpoint = getattr(scope.get("endpoint"), "__name__", None)
    return getattr(route, "path", None), endpoint, scope.get("path_params"), "router" in scope, "app" in scope
