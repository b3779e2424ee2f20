"""One query in a view of Django REST framework."""

from django.contrib.auth.models import Group
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class Query(APIView):
    def get(self, request: Request) -> Response:
        return Response({"groups": Group.objects.count()})


urlpatterns = [path("api/query", Query.as_view())]
