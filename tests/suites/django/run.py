"""Django's own tests for requests, with its test client, live server and ASGI application led through a mounted root.

python tests/suites/django/run.py [LABEL...]     in an environment that has djfast_mount and uvicorn
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import foreign

LABELS = [
    "asgi",
    "csrf_tests",
    "file_uploads",
    "handlers",
    "middleware",
    "servers",
    "sessions_tests",
    "test_client",
    "view_tests",
]
# Of tests/requirements/py3.txt, what these labels use and every machine can install.
REQUIREMENTS = ["argon2-cffi", "bcrypt", "docutils", "jinja2", "pillow", "pymemcache", "pyyaml", "redis", "uvicorn"]


def main() -> int:
    foreign.pip("install", f"django=={version('django')}", *REQUIREMENTS)
    folder = foreign.source("django") / "tests"
    script = str(Path(__file__).with_name("mounted_client.py"))
    options = ["--settings=foreign_settings", "--parallel=1", "--verbosity=0"]
    command = [script, "runtests.py", *options, *(sys.argv[1:] or LABELS)]
    plain = foreign.run("django", "plain", command, folder)
    mounted = foreign.run("django", "mounted", command, folder)
    return foreign.verdict("django", plain, mounted, floor=0.95)


if __name__ == "__main__":
    sys.exit(main())
