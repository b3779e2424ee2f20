"""One query in a sync endpoint of django-bolt, and one row by its serializer."""

from django.contrib.auth.models import Group
from django_bolt import BoltAPI
from django_bolt.serializers import Serializer


class Row(Serializer):
    id: int
    name: str


# Neither uvicorn nor gunicorn writes a line for each request here.
api = BoltAPI(enable_logging=False)


@api.get("/api/query")
def query() -> dict[str, int]:
    return {"groups": Group.objects.count()}


@api.get("/api/row/{pk}")
def row(pk: int) -> Row:
    return Row.from_model(Group.objects.get(pk=pk))
