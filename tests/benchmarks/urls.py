"""Django's half of what is measured."""

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import path


def hello(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"hello": "world"})


def query(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"groups": Group.objects.count()})


async def hello_async(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"hello": "world"})


def backends(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"vendor": connection.vendor})


urlpatterns = [
    path("hello", hello),
    path("query", query),
    path("hello-async", hello_async),
    path("backends", backends),
    path("admin/", admin.site.urls),
]
