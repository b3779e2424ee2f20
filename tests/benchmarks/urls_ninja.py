"""One query in a sync endpoint of django-ninja, and one row by its schema."""

from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.urls import path
from ninja import NinjaAPI, Schema

api = NinjaAPI()


class Row(Schema):
    id: int
    name: str


@api.get("/query")
def query(request: HttpRequest) -> dict[str, int]:
    return {"groups": Group.objects.count()}


@api.get("/row/{pk}", response=Row)
def row(request: HttpRequest, pk: int) -> Group:
    return Group.objects.get(pk=pk)


urlpatterns = [path("api/", api.urls)]
