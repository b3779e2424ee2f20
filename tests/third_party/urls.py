"""The pages of the site, and those of the apps of others."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.utils.html import format_html, format_html_join

from third_party.shelf.models import Book


def books(request: HttpRequest) -> HttpResponse:
    titles = Book.objects.order_by("pk").values_list("title")
    return HttpResponse(
        format_html("<html><body><ul>{}</ul></body></html>", format_html_join("", "<li>{}</li>", titles))
    )


urlpatterns = [
    path("", books, name="books"),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("__debug__/", include("debug_toolbar.urls")),
]
