"""One query in a sync endpoint of django-ninja."""

from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.urls import path
from ninja import NinjaAPI

api = NinjaAPI()


@api.get("/query")
def query(request: HttpRequest) -> dict[str, int]:
    return {"groups": Group.objects.count()}


urlpatterns = [path("api/", api.urls)]
