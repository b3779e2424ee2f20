"""The one module that writes Python: the function that serves the requests of one route.

For ``GET /items/{item_id}`` with ``async def read(item_id: int, user: Annotated[str, Depends(get_user)])``, and where
``get_user`` is an ``async def`` that takes the header ``X-User``, it writes this (numbers of names left out):

    async def serve(place, scope, receive, send):
        request = start = reply = content = None
        d = NOT_CALLED
        headers = scope['headers'] = list(scope['headers'])
        first = dict(reversed(headers))
        path = scope['path_params']
        try:
            while True:                                     # a `break` without reply or content: refused
                x = first[b'x-user'].decode('latin-1') if b'x-user' in first else None
                if x is None: break
                d = await call(x_user=x)
                path = scope['path_params']                 # the call may have changed it
                x = path.get('item_id')
                if x is None: break
                try: x = validate(x, from_attributes=True)
                except ValidationError: break
                result = await call(item_id=x, user=d)
                if isinstance(result, Response):
                    reply = result
                    if reply.background is None: reply.background = tasks
                    break
                content = encoded(result)
                fields = [(b'content-length', b'%d' % len(content)), JSON]
                start = {'type': 'http.response.start', 'status': 200, 'headers': fields}
                if place.is_direct and ...:             # the request itself sends it: nothing is between
                    ...
                else:
                    await send(start)
                    await send({'type': 'http.response.body', 'body': content})
                return
            if reply is content is None:
                request = request or request_for(scope, receive, send, raw, body)
                reply = await refuse(FACTS, request, body, tasks, response, {key: d}, False)
            start = Watched(send)
            await reply(scope, receive, start)
            return
        except Exception as error:
            failed = [error]
        except BaseException:                               # cancelled
            reply = content = x = d = result = None
            raise
        request = request or request_for(scope, receive, send, raw, body)
        reply = content = x = d = result = None
        await place.fail(failed, request, start, scope, receive, send)

and, for what may change under a running app,

    def holds():
        return (
            EFFECTIVE.app is APP and 'handle' not in ROUTE
            and LOOKED_UP(GLOBALS) == FOUND and ...         # functions that tools put others in the places of
            and not PROVIDER.dependency_overrides and dependant.call is call and ...
        )

Plain calls that stand together become a function of their own, a job for the request thread: it returns whether it was
refused, and the results.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from djfast_mount.fastpath import answer
from djfast_mount.fastpath.dependencies import Call, Tree
from djfast_mount.fastpath.eligibility import Facts, dependants_of
from djfast_mount.fastpath.lines import Lines, Objects

__all__ = ["write"]

_REQUEST = {"request_param_name", "http_connection_param_name"}
_ENDED = ("reply", "content", "fields")


def write(facts: Facts) -> tuple[str, list[str], dict[str, Any]]:
    """Returns the source of `serve(place, scope, receive, send)` and of `holds()` for a route, what the latter asks,
    and the objects that both name, besides those that every source may name.

    Raises: NotPlanned.
    """
    objects = Objects()
    route = _Route(facts, objects, Tree(facts, objects))
    asked = route.asked()
    return route.text(asked), asked, objects.by_name


class _Route:
    """The parts of the source of one route."""

    def __init__(self, facts: Facts, objects: Objects, tree: Tree) -> None:
        self._facts = facts
        self._objects = objects
        self._tree = tree
        self._has_stacks = tree.has_generators
        # Whether an answer is sent where it is made. Else the thread, or the exits of dependencies, come between.
        self._sends_at_once = not self._has_stacks and tree.calls[-1].kind == "coroutine"
        self._injects = "response_param_name" in tree.wants
        self._jobs: list[Lines] = []
        self._bound = {"scope", "body", "tasks", "response"}  # the variables that a job may need

    def text(self, asked: list[str]) -> str:
        lines = Lines()
        with lines.block("async def serve(place, scope, receive, send):"):
            lines.add("request = start = reply = content = None")
            self._write_body(lines)
            with lines.block("try:"):
                self._write_beginning(lines)
                self._write_stacks(lines)
                lines.add("return")
            with lines.block("except Exception as error:"):
                lines.add("failed = [error]")
            # The traceback holds this frame, and some layers outside keep the traceback in a cycle.
            read = () if self._facts.cells["body_field"] is None else ("raw", "body")
            let_go = f"{' = '.join([*read, 'reply', 'content', *self._tree.variables])} = None"
            with lines.block("except BaseException:"):
                lines.add(let_go, "raise")
            lines.add("request = request or request_for(scope, receive, send, raw, body)")
            lines.add(let_go)
            lines.add("await place.fail(failed, request, start, scope, receive, send)")
        question = Lines()
        with question.block("def holds():"), question.block("return ("):
            question.add(asked[0], *(f"and {each}" for each in asked[1:]))
        question.add("    )")
        return "\n\n".join(map(str, [*self._jobs, lines, question]))

    def asked(self) -> list[str]:
        """Returns what tells, with each request, whether a plan is still of what it was made from."""
        add, dependants = self._objects.add, list(dependants_of(self._facts.dependant))
        # With each request: tools patch FastAPI and routes under a running app, and must be heard.
        asked = ["EFFECTIVE.app is APP", "'handle' not in ROUTE", "LOOKED_UP(GLOBALS) == FOUND"]
        if any(call.reads.names() for call in self._tree.calls):
            asked.append("READING(SOLVING) == READERS")
        if any(call.kind == "context" for call in self._tree.calls):
            asked.append("SOLVING['contextmanager_in_threadpool'] is ENTERING")
        if len(dependants) > 1 and self._facts.cells["dependency_overrides_provider"]:
            asked.append("not PROVIDER.dependency_overrides")
        for each in dependants:
            name = add(each, "dependant")
            asked.append(f"{name}.call is {add(each.call, 'call')}")
            if each.dependencies:
                asked.append(f"{name}.dependencies == {add(list(each.dependencies), 'below')}")
        return asked

    def _write_body(self, lines: Lines) -> None:
        """Writes how the body is received."""
        # Nothing of the user's has run by then, so that what surprises is replayed to FastAPI.
        if self._facts.cells["body_field"] is None:
            return
        strict = bool(self._facts.cells["actual_strict_content_type"])
        lines.add(f"raw, body, replay = await receive_json(scope['headers'], receive, {strict})")
        with lines.block("if replay is not None:"):
            lines.add("await place.replay(scope, replay, send)", "return")

    def _write_beginning(self, lines: Lines) -> None:
        """Writes what else is read before the first call."""
        wants = self._tree.wants
        used = set().union(*(call.reads.names() for call in self._tree.calls))
        shows_request = bool(wants & _REQUEST)
        if shows_request or self._has_stacks:
            self._bind(lines, "request", "request_for(scope, receive, send, raw, body)")
        if shows_request:
            # FastAPI has parsed all of them before the first call, and keeps them.
            lines.add("request.headers, request.query_params, request.cookies")
        for name, value, users in self._readings(used, shows_request):
            if used & users:
                self._bind(lines, name, value)
        if "background_tasks_param_name" in wants:
            self._bind(lines, "tasks", "BackgroundTasks()")
        if self._injects:
            self._bind(lines, "response", "injected_response()")
        targets = [call.target for call in self._tree.calls[:-1]]
        if targets:
            lines.add(f"{' = '.join(targets)} = NOT_CALLED")

    def _readings(self, used: set[str], shows_request: bool) -> Iterator[tuple[str, str, set[str]]]:
        """Yields what may be read before the first call: a variable, its value, and by which names it is used."""
        pairs = "request.query_params.multi_items()" if shows_request else "pairs_of(scope['query_string'])"
        if shows_request or used & {"pairs", "query_params"}:
            yield "pairs", pairs, {"query", "pairs", "query_params"}
            yield "query", "dict(pairs)", {"query"}
        else:  # Each parameter takes one value of its name.
            yield "query", "query_of(scope['query_string'])", {"query"}
        yield "query_params", "QueryParams(pairs)", {"query_params"}
        # As Request.headers does it. Of a name that comes twice, the first counts.
        headers = "scope['headers']" if shows_request else "scope['headers'] = list(scope['headers'])"
        yield "headers", headers, {"headers", "first", "cookies"}
        yield "first", "dict(reversed(headers))", {"first"}
        yield "cookies", "cookies_of(headers)", {"cookies"}
        yield "path", "scope['path_params']", {"path"}

    def _bind(self, lines: Lines, name: str, value: str) -> None:
        lines.add(f"{name} = {value}")
        self._bound.add(name)

    def _write_stacks(self, lines: Lines) -> None:
        """Writes the calls and the answer, inside of FastAPI's two exit stacks where a dependency enters one."""
        if not self._has_stacks:
            self._write_calls(lines)
            self._write_sending(lines)
            return
        lines.add("answered = False")
        with lines.block("async with AsyncExitStack() as request_stack:"):
            lines.add("scope['fastapi_inner_astack'] = request_stack")
            with lines.block("async with AsyncExitStack() as function_stack:"):
                lines.add("scope['fastapi_function_astack'] = function_stack")
                self._write_calls(lines)
            with lines.block("if reply is content is None:"):
                # As it happens in FastAPI where a dependency swallows what the endpoint raised.
                text = "cannot access local variable 'response' where it is not associated with a value"
                lines.add(f"raise UnboundLocalError({text!r})")
            self._write_sending(lines)
            lines.add("answered = True")
        lines.add("if not answered: raise FastAPIError(NOT_AWAITED)")

    def _write_calls(self, lines: Lines) -> None:
        with lines.block("while True:"):
            for calls in _together(self._tree.calls):
                self._write_group(lines, calls)
        results = ", ".join(f"{self._objects.add(key, 'key')}: {target}" for key, target in self._results())
        with lines.block("if reply is content is None:"):
            lines.add("request = request or request_for(scope, receive, send, raw, body)")
            arguments = f"FACTS, request, body, tasks, response, {{{results}}}, {self._has_stacks}"
            lines.add(f"reply = await refuse({arguments})")

    def _results(self) -> list[tuple[Any, str]]:
        """The first result for each of FastAPI's keys."""
        found: dict[Any, str] = {}
        for call in self._tree.calls[:-1]:
            found.setdefault(call.key, call.target)
        return list(found.items())

    def _write_group(self, lines: Lines, calls: list[Call]) -> None:
        is_last = calls[-1] is self._tree.calls[-1]
        if calls[0].is_job:
            self._write_job(lines, calls, is_last)
        else:
            for call in calls:
                lines.take(call.reads)
                lines.add(f"{call.target} = await {self._call(call)}")
            if is_last:
                answer.write_reply(lines, "break")
                sending = (*self._sending(), "return") if self._sends_at_once else ()
                with answer.validated(lines, self._objects, self._facts):
                    answer.write_content(lines, self._objects, self._facts, "break", self._injects, sending)
        self._bound |= {call.target for call in calls}

    def _write_job(self, lines: Lines, calls: list[Call], is_last: bool) -> None:
        """Writes plain calls as a function for the request thread, and its call."""
        for call in calls:
            if call.kind == "context":
                self._write_entry(lines, call)
        # Responses of a project's own class are made where FastAPI makes them: on the loop.
        answers = is_last and answer.is_known_class(self._facts)
        ends = () if not is_last else _ENDED if answers else ("result",)
        results = [call.target for call in calls if call.target != "result"]
        targets = ", ".join([*results, *ends])
        inner = self._job(calls, results, ends, f"return False, {targets}")
        inner.add(f"return True, {targets}")
        # Sorted, so that the same route has the same source in every process: the doctor shows it, tests compare it.
        used = sorted((inner.names() & self._bound) - set(results))
        name = f"job_{len(self._jobs) + 1}"
        job = Lines()
        job.add(f"def {name}({', '.join(used)}):")
        job.take(inner)
        self._jobs.append(job)
        # After the answer of the other routes there are calls for certain: the spell goes on.
        may_end = answers and not self._has_stacks and "background_tasks_param_name" not in self._tree.wants
        run = "run_last(place.is_last, " if may_end else "run_in_thread("
        lines.add(f"refused, {targets} = await {run}{', '.join([name, *used])})")
        lines.add("break" if answers else "if refused: break")
        if is_last and not answers:
            answer.write_reply(lines, "break")
            answer.write_content(lines, self._objects, self._facts, "break", self._injects)

    def _write_entry(self, lines: Lines, call: Call) -> None:
        """Writes what leaves a dependency with `yield` that the next job enters."""
        generators = [each for each in self._tree.calls if each.kind in ("context", "generator")]
        stack = _stack_of(call)
        # It is left last, and after the answer was sent: no sync call of the route comes after it.
        ends = call is generators[0] and stack == "request_stack" and all(each.kind == "context" for each in generators)
        self._bind(lines, f"entry_{call.target}", f"Entry({'place.is_last' if ends else 'False'})")
        lines.add(f"{stack}.push_async_exit(entry_{call.target})")

    def _job(self, calls: list[Call], results: list[str], ends: tuple[str, ...], success: str) -> Lines:
        """Returns the body of a job, up to where it is refused."""
        inner = Lines(1)
        if results:
            inner.add(f"{' = '.join(results)} = NOT_CALLED")
        if ends:
            inner.add(f"{' = '.join(ends)} = None")
        with inner.block("while True:"):
            for call in calls:
                inner.take(call.reads)
                inner.add(f"{call.target} = {self._call(call)}")
            if ends == ("result",):
                inner.add(f"if isinstance(result, Response): {success}")
                with answer.validated(inner, self._objects, self._facts):
                    inner.add(success)
            elif ends == _ENDED:
                answer.write_reply(inner, success)
                with answer.validated(inner, self._objects, self._facts):
                    answer.write_content(inner, self._objects, self._facts, success, self._injects)
            else:
                inner.add(success)
        return inner

    def _call(self, call: Call) -> str:
        """Returns the expression for one call, without the `await`."""
        if call.kind == "generator":
            values = ", ".join(f"{name!r}: {variable}" for name, variable in call.arguments)
            dependant = self._objects.add(call.dependant, "dependant")
            given = f"dependant={dependant}, stack={_stack_of(call)}, sub_values={{{values}}}, request=request"
            return f"solve_generator({given})"
        arguments = ", ".join(f"{name}={variable}" for name, variable in call.arguments)
        function = self._objects.add(call.dependant.call, "call")
        if call.kind == "context":
            return f"entry_{call.target}.enter(contextmanager({function})({arguments}))"
        return f"{function}({arguments})"

    def _write_sending(self, lines: Lines) -> None:
        """Writes how the answer is sent, by the messages that Starlette's Response sends."""
        if not self._sends_at_once:
            with lines.block("if reply is None:"):
                lines.add(*self._sending())
        with lines.block("if reply is not None:"):
            lines.add("start = Watched(send)", "await reply(scope, receive, start)")

    def _sending(self) -> Iterator[str]:
        """The lines that send `content` and `fields`."""
        status = answer.status_of(self._facts) or 200
        yield f"start = {{'type': 'http.response.start', 'status': {status}, 'headers': fields}}"
        if not self._injects:
            # As the two methods below do it. A call of each would slow every answer.
            yield "if place.is_direct and (sender := scope[REQUEST]).may_be_passed and sender.change is None:"
            yield "    if sender.headers: fields += sender.headers.items()"
            yield "    sender.started = True"
            yield "    await sender.forward(start)"
            yield "    if sender.change is None:"
            yield "        sender.body_sent = True"
            yield "        await sender.forward({'type': 'http.response.body', 'body': content})"
            yield "    else: await sender.send_body(content)"
        yield f"{'if' if self._injects else 'elif'} place.is_direct:"
        yield "    sender = scope[REQUEST]"
        yield "    await sender.send_start(start)"
        yield "    await sender.send_body(content)"
        yield "else:"
        yield "    await send(start)"
        yield "    await send({'type': 'http.response.body', 'body': content})"
        if "background_tasks_param_name" in self._tree.wants:
            yield "await tasks()"


def _stack_of(call: Call) -> str:
    return "function_stack" if call.dependant.scope == "function" else "request_stack"


def _together(calls: list[Call]) -> list[list[Call]]:
    """Returns `calls` in groups: what stands together and is for the thread, and what stands together and is not."""
    groups: list[list[Call]] = []
    for call in calls:
        if groups and groups[-1][-1].is_job == call.is_job:
            groups[-1].append(call)
        else:
            groups.append([call])
    return groups
