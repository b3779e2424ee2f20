from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("site/", lambda request: HttpResponse("the site"))]
