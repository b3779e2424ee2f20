"""The URLs of Django's half in each of these projects."""

from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse

from moving.notes.models import Note


def count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{Note.objects.count()} notes; see {reverse('admin:index')}")


def moved(request: HttpRequest) -> HttpResponse:
    return redirect("count")


@login_required(login_url="admin:login")
def mine(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username())


urlpatterns = [
    path("admin/", admin.site.urls),
    path("count/", count, name="count"),
    path("moved/", moved),
    path("mine/", mine),
]
