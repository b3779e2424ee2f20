"""Each request as one transaction of Sentry. Needs the extra ``sentry``, and `sentry_sdk.init()`, by the project.

1. A transaction that Sentry's own integrations have begun at the root is the one; where there is none, it is begun
   here. It is called after its route with all prefixes, and so are the errors in it: by themselves the integrations
   would call ``/items/`` of the site and of the API the same.
2. Everything is set on the isolation scope of the request, which goes along to its thread. The user is the one whom the
   project has looked up by then: nobody is looked up for Sentry. Without `send_default_pii` only the key is sent.
3. An error is captured once. Where an integration has seen it before, Sentry's own deduplication drops ours.

Names that are not public and that are used here: `_cached_user` and `_acached_user`, which django.contrib.auth sets on
a request when its user has been looked up.
"""

from __future__ import annotations

from contextlib import ExitStack
from time import time
from typing import Any

import sentry_sdk
from sentry_sdk.tracing import TransactionSource

from djfast_mount.exception_handlers.reports import more_members
from djfast_mount.offload.current import KEY
from djfast_mount.telemetry.record import current
from djfast_mount.telemetry.statement_texts import shown
from djfast_mount.telemetry.watchers import Headers, Watcher

__all__ = ["SentryWatcher", "user_of"]


class SentryWatcher(Watcher):
    """Gives transactions and errors their names and their users, and begins a transaction where there is none.

    Args:
        tells: Whether the bodies of errors have the ids of their events.
    """

    def __init__(self, tells: bool) -> None:
        if tells and _event_id not in more_members:
            more_members.append(_event_id)

    def begin(self, observed: Any) -> None:
        observed.sentry = stack = ExitStack()
        observed.transaction = observed.processor = None
        if not sentry_sdk.get_client().is_active():
            return
        if sentry_sdk.get_current_scope().transaction is None:
            isolation = stack.enter_context(sentry_sdk.isolation_scope())
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in observed.scope["headers"]}
            transaction = sentry_sdk.continue_trace(
                headers, op=f"{observed.kind}.server", name=observed.method or "WS", source=TransactionSource.URL
            )
            observed.transaction = stack.enter_context(sentry_sdk.start_transaction(transaction))
        else:
            isolation = sentry_sdk.get_isolation_scope()
            observed.transaction = sentry_sdk.get_current_scope().transaction
        observed.processor = _Processor(observed)
        isolation.add_event_processor(observed.processor)

    def start(self, observed: Any, headers: Headers) -> None:
        if observed.processor is not None:
            observed.processor.note_user()

    def fail(self, observed: Any, error: BaseException) -> None:
        if isinstance(error, Exception) and sentry_sdk.get_client().is_active():
            # Where an integration has captured it before, its event is the last.
            observed.event_id = sentry_sdk.capture_exception(error) or sentry_sdk.last_event_id()

    def note_wait(self, observed: Any, seconds: float) -> None:
        _child(observed, "thread.wait", "wait for a thread", seconds)

    def note_statement(self, observed: Any, sql: Any, seconds: float, vendor: str) -> None:
        # Sentry's integration of Django makes spans of statements itself.
        if sentry_sdk.get_client().get_integration("django") is None:
            _child(observed, "db", shown(sql, vendor), seconds)

    def add_outgoing(self, observed: Any, headers: dict[str, str]) -> None:
        if sentry_sdk.get_client().is_active():
            headers.update(sentry_sdk.get_current_scope().iter_trace_propagation_headers())

    def end(self, observed: Any) -> None:
        transaction = observed.transaction
        if transaction is not None:
            name, source = _name(observed, observed.route)
            scope = sentry_sdk.get_current_scope()
            scope.set_transaction_name(name, source=source)
            transaction.name, transaction.source = name, source
            if observed.kind == "http" and observed.status is not None:
                transaction.set_http_status(observed.status)
            observed.processor.settle()
        observed.sentry.close()
        observed.sentry = observed.transaction = observed.processor = None


class _Processor:
    """Completes the events of one request: with its name, its user, its id, and what was asked for."""

    def __init__(self, observed: Any) -> None:
        scope = observed.scope
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        self._observed: Any = observed
        self._id = observed.request_id
        self._name: tuple[str, str] | None = None
        self._user: dict[str, str] | None = None
        # Neither the query string nor headers: where they are wanted, Sentry's integrations send them.
        self._request = {"url": f"{scope.get('scheme', 'http')}://{host}{scope['path']}", "method": observed.method}

    def __call__(self, event: Any, hint: Any) -> Any:
        name = self._name
        if (observed := self._observed) is not None:
            name = _name(observed, observed.part.route_of(observed))
            self.note_user()
        if name is not None:
            event["transaction"], event["transaction_info"] = name[0], {"source": name[1]}
        event["request"] = {**self._request, **event.get("request", {})}
        if self._user is not None:
            event["user"] = {**event.get("user", {}), **self._user}
        if self._id is not None:
            event.setdefault("tags", {})["request_id"] = self._id
        return event

    def note_user(self) -> None:
        """Notes the user, if one has been looked up by now. What an API call knows of it is gone at its end."""
        self._user = user_of(self._observed) or self._user

    def settle(self) -> None:
        """Keeps what is known at the end of the request: its transaction is sent after that."""
        self._name = _name(self._observed, self._observed.route)
        self.note_user()
        self._observed = None


def _event_id() -> dict[str, Any]:
    found = getattr(current.get(), "event_id", None)
    return {} if found is None else {"event_id": found}


def _name(observed: Any, route: str | None) -> tuple[str, str]:
    if route is None:
        # Not the path, of which there are as many as clients think of.
        return f"{observed.method or 'WS'} (no route)", str(TransactionSource.CUSTOM)
    return route, str(TransactionSource.ROUTE)


def user_of(observed: Any) -> dict[str, str] | None:
    """Returns the user whom the project has looked up by now, as far as Sentry may know of it."""
    call = getattr(observed.scope.get(KEY), "call", None)
    found = getattr(call, "user", None)
    request = observed.request if call is None else getattr(call, "request", None)
    if found is None and request is not None:
        held = vars(request)
        found = held.get("_cached_user") or held.get("_acached_user")
    if found is None or not getattr(found, "is_authenticated", False):
        return None
    user = {"id": str(found.pk)}
    if sentry_sdk.get_client().options["send_default_pii"]:
        user["username"] = found.get_username()
        if email := getattr(found, "email", ""):
            user["email"] = email
    return user


def _child(observed: Any, op: str, name: str, seconds: float) -> None:
    if observed.transaction is not None:
        now = time()
        span = sentry_sdk.start_span(op=op, name=name, start_timestamp=now - seconds)
        span.finish(end_timestamp=now)
