"""The pages of the site, and those of the apps of others."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path
from django.utils.html import format_html, format_html_join
from wagtail import urls as wagtail_urls
from wagtail.admin import urls as wagtailadmin_urls

from third_party.shelf.models import Book


def books(request: HttpRequest) -> HttpResponse:
    titles = Book.objects.order_by("pk").values_list("title")
    return HttpResponse(
        format_html("<html><body><ul>{}</ul></body></html>", format_html_join("", "<li>{}</li>", titles))
    )


def styled(request: HttpRequest) -> HttpResponse:
    return render(request, "styled.html")


def verified(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user.is_verified()))


urlpatterns = [
    path("styled/", styled),
    path("verified/", verified),
    path("", books, name="books"),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("__debug__/", include("debug_toolbar.urls")),
    path("hijack/", include("hijack.urls")),
    path("prometheus/", include("django_prometheus.urls")),
    path("cms/", include(wagtailadmin_urls)),
    path("pages/", include(wagtail_urls)),
]
