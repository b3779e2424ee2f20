"""All that the doctor finds: the system checks, and what each probe adds to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from django.core import checks
from django.core.checks import CheckMessage
from django.db import connections

from djfast_mount.doctor.databases import probe_databases
from djfast_mount.doctor.fastapi_command import probe_fastapi_command
from djfast_mount.doctor.requests import probe_requests
from djfast_mount.doctor.server import probe_server
from djfast_mount.doctor.static import probe_static
from djfast_mount.doctor.target import Target

__all__ = ["PROBES", "QUIET_PROBES", "findings", "findings_of_refused"]

Probe = Callable[[Target], Iterator[CheckMessage]]

QUIET_PROBES: tuple[Probe, ...] = (probe_server, probe_fastapi_command, probe_static)
"""Those that ask neither a database nor the project: any thread of a process that serves may run them."""
PROBES: tuple[Probe, ...] = (probe_databases, *QUIET_PROBES, probe_requests)
"""Those of every project."""
# Suspicions that are made of the settings alone, and the probe's finding that takes the place of each.
_PROBED = {"djfast_mount.W004": "djfast_mount.W102", "djfast_mount.W021": "djfast_mount.W133"}
_ONLY_PROBED = {"djfast_mount.W022"}


def findings(target: Target, probes: Sequence[Probe] = PROBES) -> list[CheckMessage]:
    """Returns what is wrong and not silenced, the gravest first.

    With `probe_databases` it opens connections on the calling thread, and closes them. Without it no database is asked.
    """
    return _heard(_findings(target, probes))


def findings_of_refused(*, production: bool) -> list[CheckMessage]:
    """Returns the same of a project that `mount()` refuses, and whose app no probe can ask: the system checks alone."""
    return _heard(checks.run_checks(include_deployment_checks=production))


def _heard(messages: Iterable[CheckMessage]) -> list[CheckMessage]:
    return sorted((each for each in messages if not each.is_silenced()), key=lambda message: -message.level)


def _findings(target: Target, probes: Sequence[Probe]) -> Iterator[CheckMessage]:
    probed = [message for probe in probes for message in probe(target)]
    ids = {message.id for message in probed}
    asked = connections if probe_databases in probes else ()
    answering = [alias for alias in asked if not _is_down(alias, probed)]
    for message in checks.run_checks(include_deployment_checks=target.production, databases=answering):
        if _PROBED.get(message.id or "") not in ids and message.id not in _ONLY_PROBED:
            yield message
    yield from probed


def _is_down(alias: str, probed: list[CheckMessage]) -> bool:
    return any(message.id == "djfast_mount.E101" and f"{alias!r} does not" in message.msg for message in probed)
