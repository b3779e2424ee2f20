"""The checks of this project, each in an environment of its own: `nox` for the daily ones, `nox --list` for all."""

from __future__ import annotations

import os
import shutil
import subprocess

import nox

nox.needs_version = ">=2025.5"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "uv|venv"
nox.options.download_python = "never"
# A missing interpreter is reported as a skipped session; that all are missing is an error (see `tests`).
nox.options.error_on_missing_interpreters = False

PYPROJECT = nox.project.load_toml("pyproject.toml")
LINT = nox.project.dependency_groups(PYPROJECT, "lint")
DOCS = nox.project.dependency_groups(PYPROJECT, "docs")
# By it the suites of others are fetched. uv puts none into its environments.
PIP = "pip>=25.1"
# What is the same on every database.
MYSQL = [
    "tests/crud",
    "tests/schemas/test_nested_writes.py",
    "tests/schemas/test_writing.py",
    "tests/schemas/test_zoo.py",
    "tests/auth/test_user_dependencies.py",
    "tests/django_for_api/test_csrf.py",
    "tests/django_half/test_handler.py",
    "tests/laws/test_connection_state.py",
    "tests/routing/test_fallthrough.py",
    "tests/test_objects.py",
    "tests/test_transactions.py",
]
# Apps of others, tested beneath `mount()`: see docs/third-party.md.
THIRD_PARTY = [
    "aiosqlite>=0.20",
    "channels>=4.3",
    "django-allauth>=65.21",
    "django-axes>=8.3",
    "django-compressor>=4.6",
    "django-cors-headers>=4.9",
    "django-csp>=4.0",
    "django-debug-toolbar>=8",
    "django-guardian>=3.5",
    "django-hijack>=3.7",
    "django-import-export>=4.4",
    "django-otp>=1.7",
    "django-prometheus>=2.5",
    "django-q2>=1.11",
    "django-silk>=5.6",
    "django-simple-history>=3.13",
    "django-unfold>=0.91",
    "fastapi-cache2>=0.2.2",
    "fastapi-pagination>=0.16",
    "fastapi-users[sqlalchemy]>=15",
    "fastmcp>=4.2",
    "prometheus-fastapi-instrumentator>=8",
    "python-socketio>=5.18",
    "slowapi>=0.1.10",
    "sqladmin>=0.32",
    "sse-starlette>=3.7",
    "strawberry-graphql>=0.341",
    "taskiq>=0.13",
    "wagtail>=8.0",
]
DJANGO = {"3.11": "django~=5.2.0", "3.12": "django~=6.0.0", "3.13": "django~=6.1.0"}


def answers(python: str) -> bool:
    """Whether there is such an interpreter: pyenv puts commands on the PATH that start none."""
    command = shutil.which(f"python{python}")
    return command is not None and subprocess.run([command, "-c", ""], capture_output=True, check=False).returncode == 0


@nox.session(python=list(DJANGO) if any(map(answers, DJANGO)) else False)
def tests(session: nox.Session) -> None:
    """The fast suite on SQLite and on PostgreSQL, one Django to a Python."""
    if not session.python:
        session.error(f"None of {', '.join(f'python{python}' for python in DJANGO)} starts: nothing was tested.")
    session.install("-e", ".[test]", DJANGO[str(session.python)])
    session.run("pytest", "-n", "2", *session.posargs)
    session.run("pytest", "-n", "2", "--db", "postgres", *session.posargs)


def floor(requirement: str) -> str:
    """The lowest version that a requirement takes."""
    return requirement.replace(">=", "==")


@nox.session(python="3.11" if answers("3.11") else False)
def lowest(session: nox.Session) -> None:
    """The fast suite on SQLite, with the lowest version of everything that pyproject.toml asks for."""
    extras = PYPROJECT["project"]["optional-dependencies"]
    used = [name for extra in extras if extra != "bench" for name in extras[extra]]
    session.install("-e", ".", *map(floor, {*PYPROJECT["project"]["dependencies"], *used}))
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session
def newest(session: nox.Session) -> None:
    """The fast suite with the newest of everything, and the python3 of Debian's sid. Needs root and debootstrap."""
    session.run("python", "-m", "container.newest", *session.posargs, env={"PYTHONPATH": os.path.abspath("tests")})


@nox.session
def mutants(session: nox.Session) -> None:
    """Faults put into a copy of the code, one at a time: each is caught by a test."""
    session.install("-e", ".[test]")
    session.run("python", "tests/mutants/run.py", *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """What is uploaded: built, checked, installed on its own, and a project begun with it, to the letter."""
    session.install("-e", ".[test]", PIP, "build>=1.2", "twine>=6.1")
    session.run("pytest", "tests/package", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and format, by ruff."""
    session.install(*(name for name in LINT if name.startswith("ruff")))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """The types, by mypy in its strict mode, and the public ones by pyright too."""
    session.install("-e", ".[test]", *LINT)
    session.run(
        "mypy", *session.posargs, env={"PYTHONPATH": os.pathsep.join(map(os.path.abspath, ("tests", "tests/support")))}
    )
    session.run("pytest", "tests/typing")


@nox.session
def docs(session: nox.Session) -> None:
    """The docs site, into docs/_build. A warning, a link that leads nowhere or a page in no list is an error."""
    session.install("-e", ".[jwt]", "httpx>=0.28", *DOCS)
    session.run("sphinx-build", "-W", "--keep-going", "-n", "-b", "html", "docs", "docs/_build", *session.posargs)


@nox.session
def examples(session: nox.Session) -> None:
    """The tutorial, and the examples by the commands of their READMEs, on SQLite and on PostgreSQL. Needs curl."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/docs/test_tutorial.py", *session.posargs)
    session.run("pytest", "tests/test_examples.py", *session.posargs)
    session.run("pytest", "tests/test_examples.py", "--db", "postgres", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """The quickstart and the examples in a real browser, bare and behind nginx. Needs chromium and nginx."""
    session.install("-e", ".[test]", "playwright>=1.50")
    session.run("pytest", "tests/browser", *session.posargs)


@nox.session
def servers(session: nox.Session) -> None:
    """The quickstart under every ASGI server that docs/servers.md speaks of."""
    session.install("-e", ".[test]", "daphne", "granian", "gunicorn", "hypercorn", "uvicorn-worker")
    session.run("pytest", "tests/servers", *session.posargs)


@nox.session
def fleet(session: nox.Session) -> None:
    """Workers and instances that are restarted under load, behind nginx. Needs nginx."""
    session.install("-e", ".[test]", "channels-redis>=4.2")
    session.run("pytest", "tests/fleet", "--db", "postgres", *session.posargs)


@nox.session
def rolling(session: nox.Session) -> None:
    """Half an hour of restarts, scaling and killed instances under load, behind nginx. Needs nginx."""
    session.install("-e", ".[test]")
    env = {"DJFAST_MOUNT_ROLLING": os.environ.get("DJFAST_MOUNT_ROLLING", "1800")}
    session.run("pytest", "tests/fleet/test_long_run.py", "--db", "postgres", *session.posargs, env=env)


@nox.session
def container(session: nox.Session) -> None:
    """The containers of examples and of a new project, without an engine. Needs root, buildah, debootstrap."""
    missing = [command for command in ("buildah", "debootstrap") if shutil.which(command) is None]
    if missing:
        session.error(f"Install what builds the image: apt-get install -y {' '.join(missing)}")
    session.install("-e", ".[test]", PIP)
    session.run("pytest", "tests/container", *session.posargs)


@nox.session(python=[python for python in ("3.12", "3.13") if answers(python)][:1] or False)
def tasks(session: nox.Session) -> None:
    """Background work by Django's tasks and by Celery, as examples/tasks has it. Needs redis-server and Python 3.12."""
    session.install("-e", ".[test]", "-r", "examples/tasks/requirements.txt")
    session.run("pytest", "tests/tasks", *session.posargs)


@nox.session
def pgbouncer(session: nox.Session) -> None:
    """PgBouncer in transaction mode, an old one and a newer one. Needs root, pgbouncer and debootstrap."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/pgbouncer", *session.posargs)


@nox.session
def kubernetes(session: nox.Session) -> None:
    """The manifests of examples/kubernetes against the published schemas. Needs kubectl, or root and debootstrap."""
    session.install("-e", ".[test]", "kubernetes-validate>=1.37")
    session.run("pytest", "tests/kubernetes", *session.posargs)


@nox.session
def stress(session: nox.Session) -> None:
    """Load and faults, on PostgreSQL."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/stress", "--db", "postgres", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """An hour of the mix of the ledger and of streams, with faults of the network before PostgreSQL."""
    session.install("-e", ".[test]")
    env = {"DJFAST_MOUNT_SOAK": os.environ.get("DJFAST_MOUNT_SOAK", "3600")}
    session.run("pytest", "tests/stress/test_soak.py", "--db", "postgres", *session.posargs, env=env)


@nox.session
def tenants(session: nox.Session) -> None:
    """django-tenants beneath `mount()`, on PostgreSQL: 140 clients of two schemas, and what streams leave behind."""
    session.install("-e", ".[test]", "django-tenants>=3.10")
    session.run("pytest", "tests/tenants", "--db", "postgres", *session.posargs)


@nox.session
def telemetry(session: nox.Session) -> None:
    """Telemetry with all exporters, with the instrumentation of others, behind nginx, and after a million requests."""
    others = ["opentelemetry-instrumentation-django>=0.60b0", "opentelemetry-instrumentation-fastapi>=0.60b0"]
    session.install("-e", ".[test,opentelemetry,prometheus,sentry]", *others)
    session.run("pytest", "--everything", "tests/telemetry", *session.posargs, env={"TEST_REQUESTS": "1000000"})


@nox.session
def third_party(session: nox.Session) -> None:
    """Well-known Django apps beneath `mount()`, on SQLite and on PostgreSQL."""
    session.install("-e", ".[test]", *THIRD_PARTY)
    session.run("pytest", "tests/third_party", *session.posargs)
    session.run("pytest", "tests/third_party", "--db", "postgres", *session.posargs)


@nox.session
def zoo(session: nox.Session) -> None:
    """Schemas against Django itself, on many generated bodies, schemas and querysets. Takes minutes.

    HStore is left out where PostgreSQL has no such extension: set DATABASE_URL to one that has.
    """
    session.install("-e", ".[test]")
    files = [f"tests/schemas/test_{name}.py" for name in ("zoo", "zoo_postgresql", "plan", "planted_faults")]
    for database in ("sqlite", "postgres"):
        options = ["--db", database, *session.posargs]
        session.run("pytest", *files, *options, env={"DJFAST_MOUNT_ROUNDS": "2000"})


@nox.session
def crud(session: nox.Session) -> None:
    """Resources of models: 1,000 orders, every attack, 200 clients on one row. Takes hours."""
    session.install("-e", ".[test]")
    files = [f"tests/crud/test_{name}.py" for name in ("cursors", "attack", "lost_updates", "races")]
    many = {"TEST_CURSOR_ORDERS": "1000", "TEST_ATTACK_REQUESTS": "1000000", "TEST_CRUD_CLIENTS": "200"}
    for database in ("sqlite", "postgres"):
        session.run("pytest", *files, "--db", database, *session.posargs, env=many)
        session.run("pytest", "tests/attack", "--db", database, *session.posargs, env=many)


@nox.session
def contract(session: nox.Session) -> None:
    """20,000 generated requests to resources of models, whose answers OpenAPI must describe. Takes ten minutes.

    TEST_CONTRACT_PART="2/4" makes the second of four parts.
    """
    session.install("-e", ".[test]", "schemathesis>=4.32")
    session.run("pytest", "tests/contract", *session.posargs, env={"TEST_CONTRACT_EXAMPLES": "70"})


@nox.session
def clients(session: nox.Session) -> None:
    """Clients that others generate from OpenAPI, in Python and in TypeScript, and a call of each action. Needs npm."""
    if shutil.which("npm") is None:
        session.error("Install npm, by which the generator in TypeScript is fetched.")
    session.install("-e", ".[test]", "openapi-python-client>=0.29")
    session.run("pytest", "tests/clients", *session.posargs)


@nox.session
def mysql(session: nox.Session) -> None:
    """Errors, transactions and users on a MariaDB. Needs mariadbd, and what mysqlclient is built with."""
    session.install("-e", ".[test]", "mysqlclient>=2.2.1")
    session.run("pytest", *(session.posargs or ["tests/mysql", *MYSQL]))


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks behind every number in the documentation."""
    session.install("-e", ".[bench,test]")
    session.run("python", "tests/benchmarks/run.py", *session.posargs)


@nox.session
def bench_resources(session: nox.Session) -> None:
    """What lists of resources and the start of many routers cost, beside django-ninja and DRF. Takes ten minutes."""
    session.install("-e", ".[bench,test]")
    session.run("python", "tests/benchmarks/resources.py", *session.posargs)


@nox.session
def whitenoise(session: nox.Session) -> None:
    """WhiteNoise's own tests against our static files."""
    session.install("-e", ".[test]", PIP, "requests")
    session.run("python", "tests/suites/whitenoise/run.py", *session.posargs)


@nox.session
def oracle(session: nox.Session) -> None:
    """100,000 generated requests, to FastAPI alone and to the same APIs with plans."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/fastpath/test_oracle.py", *session.posargs, env={"ORACLE_CASES": "100000"})


@nox.session
def fastapi_suite(session: nox.Session) -> None:
    """FastAPI's own tests against a mounted FastAPI, with plans and without."""
    session.install("-e", ".[test]", PIP)
    session.run("python", "tests/suites/fastapi/run.py", *session.posargs)
    # With the app at the root of the host, and Django behind its routes.
    session.run("python", "tests/suites/fastapi/run.py", *session.posargs, env={"FOREIGN_PLACE": "root"})
    # With the defaults: hosts are checked, the docs are the staff's, schemas name the errors.
    defaults = {"FOREIGN_SETTINGS": "defaults", "FOREIGN_FAST_PATH": "1"}
    session.run("python", "tests/suites/fastapi/run.py", *session.posargs, env=defaults)


@nox.session
def starlette_suite(session: nox.Session) -> None:
    """Starlette's own tests against a mounted Starlette."""
    session.install("-e", ".[test]", PIP)
    session.run("python", "tests/suites/starlette/run.py", *session.posargs)
    # With the app at the root of the host, and Django behind its routes.
    session.run("python", "tests/suites/starlette/run.py", *session.posargs, env={"FOREIGN_PLACE": "root"})
    session.run("python", "tests/suites/starlette/run.py", *session.posargs, env={"FOREIGN_SETTINGS": "defaults"})


@nox.session
def django_suite(session: nox.Session) -> None:
    """Django's own tests against Django's half."""
    session.install("-e", ".[test]", PIP)
    session.run("python", "tests/suites/django/run.py", *session.posargs)
