"""{% api_url %}, in templates of requests and of commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.template import Context, Template
from fastapi import FastAPI

from djfast_mount import mount
from djfast_mount.urls import UnknownURL
from named_site import URLs, api_with_names, run_after_setup, tenant

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def urls(settings: Any) -> None:
    settings.ROOT_URLCONF = URLs


@pytest.fixture
def mounted() -> None:
    mount("/api", api_with_names())


def render(code: str, **context: Any) -> str:
    return Template("{% load djfast_mount %}" + code).render(Context(context))


@pytest.mark.parametrize(
    ("code", "rendered"),
    [
        ("{% api_url 'item' id=1 %}", "/api/items/1"),
        ("{% api_url 'item' 1 %}", "/api/items/1"),
        ("{% api_url 'api:item' id=number %}", "/api/items/7"),
        ("{% api_url 'v1:deep' version='beta' %}", "/api/beta/v1/inner/deep"),
        ("{% api_url 'item' id=1 as there %}[{{ there }}]", "[/api/items/1]"),
        ("{% api_url 'item' id=1 query=query %}", "/api/items/1?a=1&amp;b=2"),
        ("{% url 'api:item' id=1 %}", "/api/items/1"),
        ("{% url 'api:nothing' as there %}[{{ there }}]", "[]"),
    ],
)
def test_templates(mounted: None, code: str, rendered: str) -> None:
    """{% api_url %} takes names with and without a namespace, and {% url %} those with one."""
    assert render(code, number=7, query={"a": "1", "b": "2"}) == rendered


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("{% api_url 'itm' id=1 %}", "'api:itm'. Did you mean 'api:item'"),
        ("{% api_url 'item' %}", "'api:item' is known"),
        ("{% api_url 'page' number=1 %}", "'api:page'. Did you mean"),
    ],
)
def test_errors_in_templates(mounted: None, code: str, told: str) -> None:
    """A name that {% api_url %} does not know gets the nearest."""
    with pytest.raises(UnknownURL) as caught:
        render(code)
    assert told in str(caught.value)


def test_a_template_of_several_apps() -> None:
    """Without a namespace the first app that has the name is meant, in the order of mount()."""
    first, second = FastAPI(), FastAPI()
    first.get("/a", name="a")(tenant)
    second.get("/a", name="a")(tenant)
    second.get("/b/{number:int}", name="b")(tenant)
    mount({"/api/v1": first, "/api": second})
    assert render("{% api_url 'a' %} {% api_url 'b' number=1 %}") == "/api/v1/a /api/b/1"
    with pytest.raises(UnknownURL, match="'api:b' is known"):
        render("{% api_url 'b' number='x' %}")


def test_a_template_of_a_command(tmp_path: Path) -> None:
    """{% api_url %} needs no server either."""
    code = (
        "from django.template import Context, Template\n"
        "print(Template('{% load djfast_mount %}{% api_url \"where\" %}').render(Context()))"
    )
    assert run_after_setup(tmp_path, code, ASGI_APPLICATION="project.asgi.app") == "/api/where"


def test_without_an_application(tmp_path: Path) -> None:
    """Where the settings name no application, Django's names are as ever, and {% api_url %} says what is missing."""
    code = (
        "from djfast_mount.templatetags.djfast_mount import api_url\n"
        "try: reverse('api:where')\nexcept NoReverseMatch as error: print(error)\n"
        "try: api_url('where')\nexcept NoReverseMatch as error: print(error)\n"
        "print(reverse('echo'))"
    )
    assert run_after_setup(tmp_path, code, ASGI_APPLICATION="").splitlines() == [
        "'api' is not a registered namespace",
        "{% api_url %} got 'where', and no app with routes is mounted. Call mount() in asgi.py.",
        "/echo/",
    ]
