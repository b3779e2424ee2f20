"""The URLs of the test project, and the page."""

from django.urls import include, path

from project.urls import urlpatterns as those_of_project

urlpatterns = [path("admin/mount/", include("djfast_mount.dashboard.urls")), *those_of_project]
