"""One query in a view of Django REST framework, and one row by its serializer."""

from django.contrib.auth.models import Group
from django.urls import path
from rest_framework.generics import RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer
from rest_framework.views import APIView


class Query(APIView):
    def get(self, request: Request) -> Response:
        return Response({"groups": Group.objects.count()})


class RowSerializer(ModelSerializer[Group]):
    class Meta:
        model = Group
        fields = ("id", "name")


class Row(RetrieveAPIView[Group]):
    queryset = Group.objects.all()
    serializer_class = RowSerializer


urlpatterns = [path("api/query", Query.as_view()), path("api/row/<int:pk>", Row.as_view())]
