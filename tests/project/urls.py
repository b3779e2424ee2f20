from django.contrib import admin
from django.urls import include, path

from project import views

urlpatterns = [
    path("", views.home, name="home"),
    path("admin/mount/", include("djfast_mount.dashboard.urls")),
    path("admin/", admin.site.urls),
    path("echo/", views.echo, name="echo"),
    path("links/", views.links, name="links"),
]
