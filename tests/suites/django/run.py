"""Django's own tests for requests, with its test client, live server and ASGI application led through a mounted root.

python tests/suites/django/run.py [LABEL...]     in an environment that has djfast_mount and uvicorn

What a test loses is tried with Django's own ASGI handler in the place of the root. What is lost there too, such as a
test of WSGI's environ, is no difference of ours. FOREIGN_HANDLER=django runs the root with that handler inside.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import foreign

LABELS = [
    "admin_views",
    "asgi",
    "auth_tests",
    "cache",
    "csrf_tests",
    "file_uploads",
    "generic_views",
    "handlers",
    "i18n",
    "messages_tests",
    "middleware",
    "requests_tests",
    "responses",
    "servers",
    "sessions_tests",
    "staticfiles_tests",
    "test_client",
    "test_client_regress",
    "view_tests",
]
# Of tests/requirements/py3.txt, what these labels use and every machine can install.
REQUIREMENTS = ["argon2-cffi", "bcrypt", "docutils", "jinja2", "pillow", "pymemcache", "pyyaml", "redis", "uvicorn"]


def main() -> int:
    foreign.pip("install", f"django=={version('django')}", *REQUIREMENTS)
    foreign.check_kinds("django")
    folder = foreign.source("django") / "tests"
    script = str(Path(__file__).with_name("mounted_client.py"))
    command = [script, "runtests.py", "--settings=foreign_settings", "--parallel=1", "--verbosity=0"]
    labels = sys.argv[1:] or LABELS
    plain = foreign.run("django", "plain", [*command, *labels], folder)
    mounted = foreign.run("django", "mounted", [*command, *labels], folder)
    lost = sorted(plain.of("passed") - mounted.of("passed"))
    own = foreign.run("django", "own", [*command, *lost], folder) if lost else foreign.Results()
    return foreign.verdict("django", plain, mounted, floor=0.95, own=own)


if __name__ == "__main__":
    sys.exit(main())
