"""Which names there are: namespaces, URLconfs, the last mount(), and names without a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.core.checks import run_checks
from django.urls import NoReverseMatch, Resolver404, base, clear_url_caches, include, path, resolve, set_urlconf
from django.urls import reverse as django_reverse
from django.utils import translation
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from api_client import ApiClient
from djfast_mount import mount
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.urls import UnknownURL, reverse
from named_site import OtherURLs, URLs, api_with_names, run_after_setup, tenant, view

pytestmark = pytest.mark.once


def test_inner_slashes() -> None:
    """The namespace of a prefix has hyphens for its inner slashes."""
    api = FastAPI()
    api.get("/a", name="a")(tenant)
    app = mount("/api/v1", api)
    assert reverse("api-v1:a") == django_reverse("api-v1:a") == app.url_path_for("api-v1:a") == "/api/v1/a"


def test_a_prefix_is_no_pattern() -> None:
    """What means something in a regular expression stands for itself in a prefix."""
    api = FastAPI()
    api.get("/a", name="a")(tenant)
    mount("/c++/v1.0", api)
    assert reverse("c++-v1.0:a") == "/c++/v1.0/a"


def test_two_prefixes_of_one_namespace() -> None:
    """Prefixes whose names could not be told apart are refused."""
    with pytest.raises(ConfigurationError, match=r"'/api/v1' and '/api-v1' have one namespace, 'api-v1'"):
        mount({"/api/v1": FastAPI(), "/api-v1": FastAPI()})


class SameNamespace:
    urlpatterns = [
        path("api/<slug:shop>/", include(([path("old/", view, name="old"), path("x/", view, name="item")], "api"))),
        path("page/", view, name="page"),
    ]


class SameAppName:
    urlpatterns = [path("drf/", include(([path("old/", view, name="old")], "api"), namespace="drf"))]


def test_a_namespace_that_django_has_too(settings: Any) -> None:
    """Both sides' names are found in it; the API's come first, and parameters decide."""
    settings.ROOT_URLCONF = SameNamespace
    mount("/api", api_with_names())
    assert reverse("api:old", shop="s") == django_reverse("api:old", args=["s"]) == "/api/s/old/"
    assert django_reverse("api:item", args=[1]) == "/api/items/1"
    assert reverse("api:item", shop="s") == "/api/s/x/"
    assert resolve("/api/s/old/").route == "api/<slug:shop>/old/"
    assert reverse("page") == "/page/"


def test_an_app_name_that_django_has_too(settings: Any) -> None:
    """An app_name of Django's that is the API's namespace still leads to its names, as does its own namespace."""
    settings.ROOT_URLCONF = SameAppName
    mount("/api", api_with_names())
    assert reverse("api:old") == reverse("drf:old") == django_reverse("api:old") == "/drf/old/"
    assert reverse("api:item", id=1) == "/api/items/1"


class Translated:
    urlpatterns = i18n_patterns(path("x/", include(([path("old/", view, name="old")], "api"))))


def test_languages(settings: Any) -> None:
    """A namespace under a language's prefix goes with the language, and the API's names do not."""
    settings.ROOT_URLCONF = Translated
    mount("/api", api_with_names())
    for language in ("de", "fr", "de"):
        with translation.override(language):
            assert reverse("api:old") == f"/{language}/x/old/"
            assert reverse("api:item", id=1) == "/api/items/1"


@contextmanager
def urlconf(found: Any) -> Iterator[None]:
    set_urlconf(found)
    try:
        yield
    finally:
        set_urlconf(None)


def test_a_urlconf_of_the_request(mounted: None) -> None:
    """The API's names are there under every URLconf, and those of the URLconf in force are the ones that are near."""
    with urlconf(OtherURLs):
        assert [reverse("api:item", id=1), reverse("other")] == ["/api/items/1", "/other/"]
        with pytest.raises(UnknownURL, match="Did you mean 'other'"):
            reverse("othr")
    assert django_reverse("api:item", urlconf=OtherURLs, args=[1]) == "/api/items/1"


def test_cleared_caches(mounted: None) -> None:
    """The names outlive clear_url_caches(), by which dynamic URLconfs are made known."""
    clear_url_caches()
    assert django_reverse("api:item", args=[1]) == "/api/items/1"


def test_tables_are_made_once(mounted: None) -> None:
    """A second name is looked up in the resolver that was made for the first."""
    assert base.get_resolver() is base.get_resolver()  # type: ignore[attr-defined]
    with translation.override("de"):
        assert base.get_resolver() is base.get_resolver()  # type: ignore[attr-defined]


def test_names_only(mounted: None) -> None:
    """Django resolves no path to an endpoint, and its resolver is as it was: no check and no page of a 404 sees one."""
    assert resolve("/pages/1/").url_name == "page"
    with pytest.raises(Resolver404):
        resolve("/api/items/1")
    assert len(base.get_resolver(URLs).url_patterns) > len(URLs.urlpatterns)
    assert run_checks(tags=["urls"]) == []


def test_the_404_page(settings: Any, client: ApiClient) -> None:
    """The page of a 404 in DEBUG lists Django's patterns alone."""
    settings.DEBUG = True
    page = client.get("/nothing").text
    assert "pages/" in page
    assert "api" not in page


def test_routes_that_are_added_before_the_first_name_is_asked_for() -> None:
    """A route counts when it is there before the first name is asked for, be it after mount()."""
    api = FastAPI()
    mount("/api", api)
    api.get("/late", name="late")(tenant)
    assert reverse("api:late") == "/api/late"


def test_the_last_mount_counts(mounted: None) -> None:
    """A later mount() takes the place of an earlier one, though names were asked for in between."""
    assert reverse("api:item", id=1) == "/api/items/1"
    api = FastAPI()
    api.get("/things/{id}", name="item")(tenant)
    mount("/api", api)
    assert reverse("api:item", id=1) == "/api/things/1"


def test_starlettes_routes(mounted: None) -> None:
    """Apps of Starlette have their names too; an app without routes has none, and no namespace."""

    async def other(scope: Scope, receive: Receive, send: Send) -> None: ...

    api = FastAPI(routes=[Route("/plain/{number:int}", tenant, name="plain")])
    mount({"/api": api, "/other": other})
    assert reverse("api:plain", number=1) == "/api/plain/1"
    with pytest.raises(NoReverseMatch, match="'other' is not a registered namespace"):
        django_reverse("other:x")


def test_without_django(settings: Any) -> None:
    """mount(django=False) needs no ROOT_URLCONF for the API's names."""
    del settings.ROOT_URLCONF
    mount("/api", api_with_names(), django=False)
    assert reverse("api:item", id=1) == "/api/items/1"
    with pytest.raises(UnknownURL, match="Did you mean 'api:item'"):
        reverse("api:itm")


def test_djangos_reverse_asks_the_name_that_is_replaced() -> None:
    """Django's reverse() looks get_resolver up among the globals of its module, when it is called."""
    assert "get_resolver" in base.reverse.__code__.co_names
    assert django_reverse is base.reverse


def test_a_command_or_a_task(tmp_path: Path) -> None:
    """Where nothing is mounted the application of the settings is imported, when a name of it is asked for."""
    (tmp_path / "plain_urls.py").write_text(
        "from django.urls import path\nurlpatterns = [path('echo/', lambda request: None, name='echo')]\n"
    )
    code = "from django.urls import base\nassert base.get_resolver() is base.get_resolver()\n"
    code += "print(reverse('echo'), 'fastapi' in sys.modules, reverse('api:where'), reverse('api:where'))"
    for name in ("project.asgi.app", "project.asgi:app"):
        shown = run_after_setup(tmp_path, code, ASGI_APPLICATION=name, ROOT_URLCONF="plain_urls")
        assert shown == "/echo/ False /api/where /api/where"


def test_an_application_that_mounts_nothing(tmp_path: Path) -> None:
    """An application of Django alone adds no names, and is imported once."""
    (tmp_path / "plain.py").write_text("from django.core.asgi import get_asgi_application as g\nprint('in')\napp = g()")
    code = "for _ in range(2):\n try: reverse('api:where')\n except NoReverseMatch as error: print(error)"
    missing = "'api' is not a registered namespace"
    assert run_after_setup(tmp_path, code, ASGI_APPLICATION="plain.app").splitlines() == ["in", missing, missing]
