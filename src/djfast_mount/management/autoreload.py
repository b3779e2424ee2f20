"""Two processes, as in Django's runserver: one that serves, and ends with status 3 when a file has changed; and one
that starts it again.

What is added to Django's: the process that serves is given time to end its requests and lifespans, and where it cannot
even start, since the settings have an error in them, the other waits for the next change.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from django.apps import apps
from django.conf import settings
from django.utils import autoreload

__all__ = ["FATAL", "is_serving_process", "supervise", "watch_packages"]

RELOAD = 3
FATAL = 4
"""The status of a serving process that no change of a file would help: the port is in use, say."""

# Seconds in which an interrupt that was for the whole terminal has ended the serving process, or begun to.
_SHARED_INTERRUPT = 1.0


def is_serving_process() -> bool:
    """Whether this process is the one that serves and is started again."""
    return os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) == "true"


def supervise(tell: Callable[[str], None]) -> int:
    """Starts the serving process again and again. Returns the status to end with. For the main thread."""
    while True:
        status = _run_once()
        if status == FATAL:
            return 1
        # 128 + the signal, as a shell reports it.
        if status < 0:
            return 128 - status
        if status == 0:
            return 0
        if status != RELOAD:
            tell("Waiting for a file to change ...")
            _wait_for_a_change()


def _run_once() -> int:
    # Django's own variable: `autoreload` and apps look at it (`RUN_MAIN`) to do their work in one of the two processes.
    env = {**os.environ, autoreload.DJANGO_AUTORELOAD_ENV: "true"}
    with subprocess.Popen(autoreload.get_child_arguments(), env=env, close_fds=False) as child:

        def pass_on(number: int, frame: FrameType | None) -> None:
            child.send_signal(number)

        previous = signal.signal(signal.SIGTERM, pass_on)
        try:
            return _status_of(child)
        finally:
            signal.signal(signal.SIGTERM, previous)


def _status_of(child: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            # From a terminal it went to both processes; a `kill` of this one is to be passed on.
            try:
                return child.wait(_SHARED_INTERRUPT)
            except subprocess.TimeoutExpired:
                child.terminate()


def _wait_for_a_change() -> None:
    # StatReloader needs no package and no daemon, and this process has nothing else to do.
    reloader = autoreload.StatReloader()
    watch_packages(reloader)
    before = dict(reloader.snapshot_files())
    while dict(reloader.snapshot_files()) == before:
        time.sleep(0.5)


def watch_packages(sender: Any, **_: object) -> None:
    """Has the reloader watch all of the project's own packages: also a module whose import has failed, or a new one.

    A receiver of Django's `autoreload_started`.
    """
    for folder in _packages():
        sender.watch_dir(folder, "**/*.py")


def _packages() -> Iterator[Path]:
    names = (str(name).partition(".")[0] for name in (settings.SETTINGS_MODULE, settings.ROOT_URLCONF))
    files = [getattr(sys.modules.get(name), "__file__", None) for name in names]
    folders = {Path(file).parent for file in files if file and Path(file).name == "__init__.py"}
    folders |= {Path(config.path) for config in apps.get_app_configs()}
    foreign = [Path(folder).resolve() for folder in (sys.prefix, sys.base_prefix)]
    for folder in folders:
        own = folder.resolve()
        # Django watches the modules that are loaded. A folder that is watched as a whole must not be the virtual
        # environment.
        if "site-packages" not in own.parts and not any(own.is_relative_to(place) for place in foreign):
            yield own
