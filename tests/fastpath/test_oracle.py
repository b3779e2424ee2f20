"""Plans against FastAPI itself. `nox -s oracle` runs the same with more cases.

Holds `fastpath/answer.py`, `fastpath/body.py`, `fastpath/dependencies.py`, `fastpath/eligibility.py`,
`fastpath/errors.py`, `fastpath/lines.py`, `fastpath/parameters.py`, `fastpath/plan.py`, `fastpath/source.py` and
`fastpath/vocabulary.py`.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from djfast_mount.fastpath import (
    answer,
    before_stack,
    body,
    dependencies,
    errors,
    front,
    guard,
    parameters,
    plan,
    route_index,
    source,
)
from djfast_mount.fastpath.plan import Plan
from oracle.comparing import Impossible, Pair, compare

REQUESTS = 8
EXAMPLES = int(os.environ.get("ORACLE_CASES", "320")) // REQUESTS // 2
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="ORACLE_CASES" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)

pytestmark = pytest.mark.filterwarnings("ignore")  # Generated models and fields are odd, and pydantic says so.


def check(data: st.DataObject, *, only_async: bool) -> None:
    def draw(count: int) -> int:
        return data.draw(st.integers(0, count - 1))

    try:
        pair = Pair(draw, only_async=only_async)
    except Impossible:
        reject()
    compare(pair, draw, REQUESTS)


@SETTINGS
@given(st.data())
def test_async_routes_answer_as_fastapi_alone(data: st.DataObject) -> None:
    """An API of `async def` functions has the same answers, calls, errors and leavings with plans as without."""
    check(data, only_async=True)


@SETTINGS
@given(st.data())
def test_all_routes_answer_as_fastapi_alone(data: st.DataObject) -> None:
    """An API of functions of every kind has the same answers, calls and errors with plans as without."""
    check(data, only_async=False)


def pair_of(seed: int, *, only_async: bool = True) -> tuple[Pair, Callable[[int], int]]:
    draw = random.Random(seed).randrange
    return Pair(draw, only_async=only_async), draw


def is_caught(seed: int) -> bool:
    """Whether the comparison for `seed` finds a difference."""
    try:
        compare(*pair_of(seed), REQUESTS)
    except AssertionError:
        return True
    except Impossible:
        pass
    return False


def test_most_of_what_the_oracle_sends_is_served_by_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is one of plans: at least half of the requests that reach a route go by one."""
    found: dict[int, bool] = {}
    own = front.plan_now

    def noted(leaf: Any, scope: Any) -> Plan | None:
        plan = own(leaf, scope)
        found[id(scope)] = plan is not None
        scopes.append(scope)
        return plan

    scopes: list[Any] = []  # So that no other comes to be at the place of one.
    own_entry = guard.entry_of

    def entry(*args: Any) -> Callable[..., bool]:
        enter = own_entry(*args)

        def entered(scope: Any, match: Any) -> bool:
            scopes.append(scope)
            found[id(scope)] = enter(scope, match)
            return found[id(scope)]

        return entered

    monkeypatch.setattr(before_stack, "entry_of", entry)
    for module in (before_stack, front):
        monkeypatch.setattr(module, "plan_now", noted)
    for seed in range(40):
        assert not is_caught(seed)
    assert len(found) > 80
    assert sum(found.values()) > len(found) / 2


# Faults that are planted into the plans -----------------------------------------------------------------------------


def everything_read_up_front(patch: pytest.MonkeyPatch) -> None:
    own = dependencies.Tree.__init__

    def init(self: Any, *args: Any) -> None:
        own(self, *args)
        for call in self.calls[1:]:
            self.calls[0].reads.take(call.reads)
            call.reads._lines.clear()

    patch.setattr(dependencies.Tree, "__init__", init)


def a_kept_exception(patch: pytest.MonkeyPatch) -> None:
    class Kept(list[Any]):
        def pop(self, *_: Any) -> Any:
            return self[0]

    own = errors.Raised.__init__
    patch.setattr(errors.Raised, "__init__", lambda self, box, start: own(self, Kept(box), start))


def a_stale_route(patch: pytest.MonkeyPatch) -> None:
    own = route_index.RouteIndex.find

    def find(self: Any, scope: Any) -> Any:
        self.routes, self.versions = self._router.routes, []
        return own(self, scope)

    patch.setattr(route_index.RouteIndex, "find", find)
    patch.setattr(route_index.RouteIndex, "is_changed", staticmethod(lambda leaf: False))
    patch.setattr(guard, "_of_the_stack", lambda *_: ["True"])
    patch.setattr(guard, "_of_the_route", lambda *_: ["True"])


def a_stale_call(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(source._Route, "asked", lambda self: ["True"])


def a_stale_call_of_a_known_path(patch: pytest.MonkeyPatch) -> None:
    own = guard.entry_of

    def entry(leaf: Any, index: Any, plan: Any, *others: Any) -> Any:
        return own(leaf, index, SimpleNamespace(asked=[], objects=plan.objects, facts=plan.facts), *others)

    patch.setattr(before_stack, "entry_of", entry)


def validation_as_of_json(patch: pytest.MonkeyPatch) -> None:
    def lax(validate: Any) -> Any:
        return lambda value, **_: validate(tuple(value) if isinstance(value, list) else value, strict=False)

    patch.setattr(parameters, "write_validation", _validating(lax))


def a_validator_run_twice(patch: pytest.MonkeyPatch) -> None:
    def twice(validate: Any) -> Any:
        def run(value: Any, **options: Any) -> Any:
            validate(value, **options)
            return validate(value, **options)

        return run

    patch.setattr(parameters, "write_validation", _validating(twice))


def _validating(change: Callable[[Any], Any]) -> Any:
    def write(lines: Any, objects: Any, field: Any, target: str) -> None:
        validate = objects.add(change(field._type_adapter.validate_python), "validate")
        lines.add(f"try: {target} = {validate}({target}, from_attributes=True)", "except ValidationError: break")

    return write


def a_default_that_is_shared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(parameters, "_default", lambda objects, field: objects.add(field.default, "default"))


def the_first_value_of_a_query(patch: pytest.MonkeyPatch) -> None:
    own = parameters.pairs_of
    patch.setattr(parameters, "pairs_of", lambda query_string: own(query_string)[::-1])
    patch.setattr(parameters, "query_of", lambda query_string: dict(own(query_string)[::-1]))


def the_last_value_of_a_header(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(source, "reversed", lambda headers: headers, raising=False)
    own = plan.objects_for
    patch.setattr(plan, "objects_for", lambda facts: {**own(facts), "reversed": lambda headers: headers})


def a_replay_without_its_messages(patch: pytest.MonkeyPatch) -> None:
    own = body.Replay.__init__
    patch.setattr(body.Replay, "__init__", lambda self, messages, *args: own(self, messages[1:], *args))


def dependencies_called_again(patch: pytest.MonkeyPatch) -> None:
    own = errors.refuse
    patch.setattr(errors, "refuse", lambda *args: own(*args[:5], {}, *args[6:]))


def no_headers_of_dependencies(patch: pytest.MonkeyPatch) -> None:
    own = answer.injected_response

    def made() -> Any:
        class Deaf(type(own())):  # type: ignore[misc]
            @property
            def headers(self) -> Any:
                return type(super().headers)()

        response = own()
        response.__class__ = Deaf
        return response

    patch.setattr(answer, "injected_response", made)


def a_start_that_nobody_hears_of(patch: pytest.MonkeyPatch) -> None:
    own = errors.Raised.__init__
    patch.setattr(errors.Raised, "__init__", lambda self, box, start: own(self, box, None))


def a_frame_that_a_cancelled_call_keeps(patch: pytest.MonkeyPatch) -> None:
    own = source._Route.text
    patch.setattr(source._Route, "text", lambda self: own(self).replace("except BaseException:", "except ():"))


def a_cancellation_that_is_swallowed(patch: pytest.MonkeyPatch) -> None:
    own = source._Route.text

    def text(self: Any) -> str:
        return own(self).replace("except BaseException:", "except BaseException: return\n        except ():")

    patch.setattr(source._Route, "text", text)


def a_word_in_the_log(patch: pytest.MonkeyPatch) -> None:
    own = errors.refuse

    def refuse(*args: Any) -> Any:
        logging.getLogger("djfast_mount").debug("refused")
        return own(*args)

    patch.setattr(errors, "refuse", refuse)


FAULTS = {
    everything_read_up_front: 126,
    a_kept_exception: 24,
    a_stale_route: 19,
    a_stale_call: 13,
    a_stale_call_of_a_known_path: 13,
    validation_as_of_json: 168,
    a_validator_run_twice: 9,
    a_default_that_is_shared: 9,
    the_first_value_of_a_query: 196,
    the_last_value_of_a_header: 98,
    a_replay_without_its_messages: 1,
    dependencies_called_again: 7,
    no_headers_of_dependencies: 9,
    a_start_that_nobody_hears_of: 18,
    a_frame_that_a_cancelled_call_keeps: 9,
    a_cancellation_that_is_swallowed: 0,
    a_word_in_the_log: 0,
}
"""Each with the seed that finds it first, so that the search is short. It goes on from there."""


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison finds a fault in the plans, and finds nothing with the same choices where there is none."""
    first = FAULTS[plant]
    with monkeypatch.context() as patch:
        plant(patch)
        seed = next((seed for seed in range(first, first + 600) if is_caught(seed)), None)
    assert seed is not None
    assert not is_caught(seed)
