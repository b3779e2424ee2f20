"""Operations of Django's half on the docs pages of a FastAPI that Django stands behind."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import path
from fastapi import FastAPI
from pydantic import BaseModel

from api_client import ApiClient
from djfast_mount import mount
from djfast_mount.api_docs.operations import add_operations
from harness import TESTS

pytestmark = pytest.mark.once

BLOCKS = re.findall(r"```python\n(.*?)```", (TESTS.parent / "docs" / "api-docs.md").read_text(), re.DOTALL)


class Item(BaseModel):
    name: str


def make_api() -> FastAPI:
    api = FastAPI(title="Moving", openapi_tags=[{"name": "new"}])
    api.get("/items/{pk}", tags=["new"])(item)
    return api


def item(pk: int) -> Item:
    return Item(name=str(pk))


OTHER = {
    "paths": {
        "/api/items/{pk}": {"get": {"summary": "old"}, "delete": {"summary": "old"}},
        "/api/items": {"get": {"responses": {"200": {"$ref": "#/components/schemas/Item"}}}},
        "/apix": {"get": {}},
        "/api": {"get": {}},
    },
    "components": {"schemas": {"Item": {"type": "string"}, "Other": {"type": "integer"}}},
    "tags": [{"name": "old"}, {"name": "new"}],
}


def test_what_the_api_has_itself_stays() -> None:
    """A path of the API's own is not shown twice, other prefixes are left out, and a name that is taken is renamed."""
    api = make_api()
    add_operations(api, lambda: OTHER, prefix="/api")
    schema = api.openapi()
    assert set(schema["paths"]) == {"/items/{pk}", "/items", "/"}
    assert list(schema["paths"]["/items/{pk}"]) == ["get"]
    schemas = schema["components"]["schemas"]
    assert schema["paths"]["/items"]["get"]["responses"]["200"]["$ref"] == "#/components/schemas/DjangoItem"
    assert (schemas["DjangoItem"], schemas["Other"]) == ({"type": "string"}, {"type": "integer"})
    assert schemas["Item"]["properties"]["name"]["type"] == "string"
    assert schema["tags"] == [{"name": "new"}, {"name": "old"}]
    assert api.openapi() is schema
    assert api.openapi_schema is not None
    assert set(api.openapi_schema["paths"]) == {"/items/{pk}"}


def test_operations_of_django_ninja(settings: Any, root_path: str) -> None:
    """The operations of a NinjaAPI stand beside FastAPI's, and each path of the schema is answered."""
    ninja = pytest.importorskip("ninja")
    old = ninja.NinjaAPI(urls_namespace="old-api", docs_url=None)

    class UserOut(ninja.Schema):
        username: str

    @old.get("/users", response=list[UserOut])
    def users(request: Any) -> list[Any]:
        return [User(username="ada")]

    class URLs:
        urlpatterns = [path("api/", old.urls)]

    settings.ROOT_URLCONF = URLs
    api = make_api()
    add_operations(api, old.get_openapi_schema, prefix="/api")
    client = ApiClient(mount("/api", api, fallthrough=True), root_path)
    schema = client.get("/api/openapi.json").json()
    assert set(schema["paths"]) == {"/items/{pk}", "/users"}
    assert "UserOut" in schema["components"]["schemas"]
    assert "503" in schema["paths"]["/items/{pk}"]["get"]["responses"]
    for shown in schema["paths"]:
        assert client.get("/api" + shown.replace("{pk}", "1")).status_code == 200


def test_operations_of_spectacular(settings: Any, root_path: str) -> None:
    """The operations that drf-spectacular finds stand beside FastAPI's, by the code of the page."""
    pytest.importorskip("drf_spectacular")
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
    from rest_framework import generics, serializers  # noqa: PLC0415

    class GroupSerializer(serializers.Serializer):  # type: ignore[misc]
        name = serializers.CharField()

    class Groups(generics.GenericAPIView):  # type: ignore[misc]
        serializer_class = GroupSerializer
        authentication_classes = ()
        permission_classes = ()

        def get(self, request: Any) -> Any:
            raise AssertionError("only the schema is asked for")

    class URLs:
        urlpatterns = [path("api/groups/", Groups.as_view())]

    settings.ROOT_URLCONF = URLs
    names: dict[str, Any] = {"api": make_api()}
    [code] = [block for block in BLOCKS if "SchemaGenerator" in block]
    exec(code, names)
    schema = ApiClient(mount("/api", names["api"], fallthrough=True), root_path).get("/api/openapi.json").json()
    assert set(schema["paths"]) == {"/items/{pk}", "/groups/"}
    assert "Group" in str(schema["components"]["schemas"].keys())
