"""The URLs of the test project, and those of two profilers."""

from django.urls import include, path

urlpatterns = [
    path("silk/", include("silk.urls", namespace="silk")),
    path("__debug__/", include("debug_toolbar.urls")),
    path("", include("project.urls")),
]
