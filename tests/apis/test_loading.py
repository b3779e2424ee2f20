"""From mount()'s arguments to apps: what is found, and what each mistake is told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.test import override_settings
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import FastAPIDeprecationWarning
from starlette.types import Receive, Scope, Send

from calls import request
from djfast_mount import mount
from djfast_mount.exceptions import ConfigurationError, MountError
from harness import PYTHONPATH
from project.api import api as project_api

pytestmark = pytest.mark.once

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules, such as `write(shelf="...", shelf__api="...")`; they can be imported until the test's end."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(**sources: str) -> None:
        for name, source in sources.items():
            parts = name.split("__")
            folder = tmp_path.joinpath(*parts[:-1])
            folder.mkdir(exist_ok=True)
            if parts[:-1]:
                (folder / "__init__.py").touch()
            (folder / f"{parts[-1]}.py").write_text(source)

    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def run_python(tmp_path: Path, code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` in a new interpreter that finds the tests' modules, and those written into `tmp_path`."""
    path = os.pathsep.join([str(tmp_path), PYTHONPATH])
    kept = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": path, **env},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def fault(*args: Any, **options: Any) -> ConfigurationError:
    """The error of a call of mount()."""
    with pytest.raises(ConfigurationError) as caught:
        mount(*args, **options)
    assert isinstance(caught.value, MountError)
    return caught.value


# What is found ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("app", [project_api, "project.api:api"], ids=["instance", "import string"])
def test_an_app_is_given_or_named(app: Any, root_path: str) -> None:
    """An instance and an import string lead to the same app."""
    answer = request(mount("/api", app), f"{root_path}/api/where", root_path=root_path)
    assert answer.json()["root_path"] == f"{root_path}/api"


def test_an_import_string_may_name_an_attribute_of_an_attribute(write: Write) -> None:
    """What follows the colon may have dots in it."""
    write(shelf="import types\nfrom fastapi import FastAPI\nparts = types.SimpleNamespace(api=FastAPI())")
    assert request(mount("/api", "shelf:parts.api"), "/api/docs").status == 200


ROUTER = """
from fastapi import APIRouter
router = APIRouter({})
@router.get("/list")
def items() -> list[str]:
    return [__name__]
"""


def test_routers_of_installed_apps_are_found(write: Write, root_path: str) -> None:
    """Each api.py's router is served under its app's label, or under the prefix of its own, with the label as tag."""
    write(
        shelf__api=ROUTER.format(""),
        rack__api=ROUTER.format("prefix='/own'"),
        plain__models="",
        other__api="answer = 42",
    )
    installed = [*settings.INSTALLED_APPS, "shelf", "rack", "plain", "other"]
    with override_settings(INSTALLED_APPS=installed):
        root = mount()
    for path, body in (("/api/shelf/list", ["shelf.api"]), ("/api/own/list", ["rack.api"])):
        assert request(root, root_path + path, root_path=root_path).json() == body
    schema = request(root, "/api/openapi.json").json()
    assert {path: item["get"]["tags"] for path, item in schema["paths"].items()} == {
        "/shelf/list": ["shelf"],
        "/own/list": ["rack"],
    }


def test_an_api_may_import_models_at_its_top(write: Write, tmp_path: Path) -> None:
    """mount() sets Django up before it imports the API: no order of imports is wrong."""
    write(
        shelf="from project.shop.models import Item\nfrom fastapi import FastAPI\napi = FastAPI(title=Item.__name__)",
        asgi="from djfast_mount import mount\napp = mount('/api', 'shelf:api')",
    )
    done = run_python(
        tmp_path, "import asgi; print(asgi.app.routes[0].app.title)", DJANGO_SETTINGS_MODULE="project.settings"
    )
    assert done.stdout == "Item\n", done.stderr


# What is told -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "told"),
    [
        ("api", "does not start with a slash. Write '/api'."),
        ("api/", "does not start with a slash. Write '/api'."),
        ("/api/", "ends with a slash. Write '/api'; it serves both forms."),
        ("", 'is no path. Name one, such as "/api", or "/" for the root.'),
        ("//", 'is no path. Name one, such as "/api", or "/" for the root.'),
        ("/a b", "Use plain segments."),
        ("/api?x", "Use plain segments."),
        ("/api#x", "Use plain segments."),
        ("/api%20", "Use plain segments."),
        ("/{tenant}/api", "Use plain segments."),
        ("/a\\b", "Use plain segments."),
        ("/a\nb", "Use plain segments."),
        ("//api", "has an empty or a dot segment, which no client would send. Leave it out."),
        ("/a//b", "has an empty or a dot segment, which no client would send. Leave it out."),
        ("/a/../b", "has an empty or a dot segment, which no client would send. Leave it out."),
        ("/./a", "has an empty or a dot segment, which no client would send. Leave it out."),
    ],
)
def test_a_bad_prefix_is_told_with_the_remedy(prefix: str, told: str) -> None:
    """A prefix that could never match, or only by surprise, is refused, alone and in a mapping."""
    for error in (fault(prefix, project_api), fault({"/good": project_api, prefix: project_api})):
        assert str(error).startswith(f"The prefix {prefix!r} ")
        assert str(error).endswith(told)


def test_an_app_at_the_root_alone_is_told_with_the_remedy() -> None:
    """The root, without a place for Django, is refused with both ways out."""
    assert all(word in str(fault("/", project_api)) for word in ("no path to Django", "django_prefix=", "fallthrough="))


def test_the_app_in_the_place_of_the_prefix_is_told() -> None:
    """mount(app) and mount("module:app") are told where the app belongs."""
    for error in (fault(project_api), fault("project.api:api")):
        assert "The app is the second argument" in str(error)


def test_two_apps_on_one_prefix_are_told() -> None:
    """A mapping in which two prefixes differ in the last slash alone names both."""
    error = fault({"/api": project_api, "/api/": FastAPI()})
    assert str(error) == "The prefixes '/api' and '/api/' are one: two apps cannot share it. Rename one."


def test_a_mapping_with_an_app_beside_it_is_told() -> None:
    """The app has to be in the mapping."""
    assert str(fault({"/api": project_api}, project_api)).endswith("Put the app into the mapping.")


def test_an_empty_mapping_is_told() -> None:
    """A mapping without a prefix is a mistake."""
    assert "empty mapping" in str(fault({}))


@pytest.mark.parametrize("target", ["shelf", "shelf.api", "shelf:", ":api", ":"])
def test_a_string_without_module_or_attribute_is_told(target: str) -> None:
    """A string that is no "module:attribute" is answered with the form."""
    error = fault("/api", target)
    assert str(error).startswith(f"{target!r} for prefix '/api' is no import string.")
    assert 'Write "module:attribute"' in str(error)


@pytest.mark.parametrize(
    ("target", "remedy"),
    [
        ("nowhere:api", "Check the spelling, and that the folder it lies in is on sys.path."),
        ("nowhere.at.all:api", "Check the spelling, and that the folder it lies in is on sys.path."),
        ("shelf.nowhere:api", "Check the spelling, and that the folder it lies in is on sys.path."),
        ("needs_more:api", "The fault lies in what 'needs_more' imports."),
        ("takes_wrong:api", "The fault lies in what 'takes_wrong' imports."),
    ],
)
def test_a_module_that_cannot_be_imported_is_told(target: str, remedy: str, write: Write) -> None:
    """The message tells a misspelt module from one whose own imports fail; the original error is the cause."""
    write(shelf__api="", needs_more="import nowhere", takes_wrong="from os import nothing")
    error = fault("/api", target)
    assert str(error).startswith(f"{target!r} for prefix '/api' cannot be imported: ")
    assert str(error).endswith(remedy)
    assert isinstance(error.__cause__, ImportError)
    assert repr(error.__cause__) in str(error)


def test_an_error_of_the_api_module_is_left_as_it_is(write: Write) -> None:
    """Any other error that the API raises while it is imported comes out unchanged; mount() can be called again."""
    write(shelf="raise LookupError('planted')")
    with pytest.raises(LookupError, match="planted"):
        mount("/api", "shelf:api")
    mount("/api", project_api)
    mount("/api", "project.api:api")


@pytest.mark.parametrize("attribute", ["app", "api.nothing"])
def test_a_missing_attribute_is_told(attribute: str) -> None:
    """The message names what was looked at and what it lacks; the original error is the cause."""
    error = fault("/api", f"project.api:{attribute}")
    assert f"has no attribute {attribute.rsplit('.', maxsplit=1)[-1]!r}. Name the variable that holds the app." in str(
        error
    )
    assert isinstance(error.__cause__, AttributeError)


def wsgi(environ: Any, start_response: Any) -> Any:
    raise NotImplementedError


def asgi_2(scope: Scope) -> Callable[[Receive, Send], Any]:
    raise NotImplementedError


@pytest.mark.parametrize(
    "app", [wsgi, get_wsgi_application(), asgi_2, 5, object()], ids=["wsgi", "django", "asgi2", "number", "object"]
)
@pytest.mark.parametrize("argument", ["app", "websocket_app"])
def test_what_is_no_asgi_app_is_told(app: Any, argument: str) -> None:
    """An object that cannot be called with (scope, receive, send) is shown, with the way out for WSGI."""
    error = fault("/api", **{"app": project_api, argument: app})
    assert f"is no ASGI app but {app!r}." in str(error)
    assert "a WSGI app must be wrapped first, by a2wsgi for one." in str(error)


def test_a_router_is_told() -> None:
    """An APIRouter is to be included in an app."""
    error = fault("/api", APIRouter())
    assert "is an APIRouter, which cannot be served alone" in str(error)
    assert "api.include_router(router)" in str(error)


def test_a_class_is_told() -> None:
    """A class in the place of its instance is named."""
    assert str(fault("/api", FastAPI)).endswith("is the class FastAPI. Give an instance of it.")


def test_a_root_path_of_its_own_is_told() -> None:
    """A FastAPI that would overwrite the prefix is told to let go of its root_path."""
    with pytest.warns(FastAPIDeprecationWarning):
        app = FastAPI(root_path="/pre/api")
    error = fault("/api", app)
    assert str(error).startswith("The FastAPI app at '/api' has root_path='/pre/api' of its own")
    assert str(error).endswith("Remove root_path= from FastAPI(...).")


def test_a_site_without_any_router_is_told() -> None:
    """Without an app, and without a router in any installed app, both remedies are named."""
    error = fault()
    assert 'mount("/api", "myproject.api:api")' in str(error)
    assert "add such an api.py" in str(error)


def test_a_router_that_is_none_is_told(write: Write) -> None:
    """Something else by the name of router in an api.py is shown."""
    write(shelf__api="router = 5")
    with override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, "shelf"]):
        assert str(fault()) == "shelf.api.router is 5, not a fastapi.APIRouter. Rename it, or make it one."


def test_an_api_module_that_calls_mount_is_told(write: Write) -> None:
    """mount() called while mount() imports the API names the circle and where the call belongs."""
    write(shelf="from djfast_mount import mount\napp = mount('/api', 'other:api')")
    error = fault("/api", "shelf:app")
    assert str(error).startswith("mount() was called while mount() was importing 'shelf:app'")
    assert "Call mount() in asgi.py only" in str(error)


def test_a_discovered_api_that_calls_mount_is_told(write: Write) -> None:
    """The same for a module that was found and not named."""
    write(shelf__api="from djfast_mount import mount\napp = mount()")
    with override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, "shelf"]):
        assert "while mount() was importing 'shelf.api'" in str(fault())


ASGI = "from djfast_mount import mount\napp = mount('/api', 'shelf:api')\n"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import asgi", "do not import asgi.py from the API."),
        ("import runpy; runpy.run_path('asgi.py')", "do not import asgi.py from a module of the API."),
    ],
    ids=["imported", "run"],
)
def test_an_api_that_imports_asgi_is_told(code: str, told: str, write: Write, tmp_path: Path) -> None:
    """An API that takes something from asgi.py is told not to, whether asgi.py is imported or run as a program."""
    write(shelf="from asgi import app\nfrom fastapi import FastAPI\napi = FastAPI()", asgi=ASGI)
    done = run_python(tmp_path, code, DJANGO_SETTINGS_MODULE="project.settings")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("djfast_mount.exceptions.ConfigurationError: ")
    assert last.endswith(told)


def test_a_circle_inside_of_the_api_is_told(write: Write) -> None:
    """Two modules of the API that import from each other are told so, and a name that is nowhere is told otherwise."""
    write(shelf="from books import book\napi = 1", books="from shelf import api\nbook = 1")
    assert str(fault("/api", "shelf:api")).endswith("do not import asgi.py from the API.")
    write(desk="from books2 import nothing", books2="")
    assert str(fault("/api", "desk:api")).endswith("The fault lies in what 'desk' imports.")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"threads": 0}, "threads=0. Give a whole number from 1 up"),
        ({"threads": -1}, "threads=-1. Give a whole number from 1 up"),
        ({"threads": 1.5}, "threads=1.5. Give a whole number from 1 up"),
        ({"threads": "8"}, "threads='8'. Give a whole number from 1 up"),
        ({"wait_timeout": 0}, "wait_timeout=0. Give a number of seconds above 0."),
        ({"wait_timeout": -1.0}, "wait_timeout=-1.0. Give a number of seconds above 0."),
        ({"grace": 0}, "grace=0. Give a number of seconds above 0, or None."),
        ({"fast_path": 1}, "fast_path=1. Give True or False"),
        ({"django_handler": "mine"}, "django_handler='mine'. Give 'one_hop' or 'django'"),
    ],
)
def test_an_impossible_option_is_told(options: dict[str, Any], told: str) -> None:
    """A value that no option can have is shown, with those it can have."""
    assert re.search(re.escape(told), str(fault("/api", project_api, **options)))
