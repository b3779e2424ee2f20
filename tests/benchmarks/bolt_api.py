"""One query in a sync endpoint of django-bolt."""

from django.contrib.auth.models import Group
from django_bolt import BoltAPI

# Neither uvicorn nor gunicorn writes a line for each request here.
api = BoltAPI(enable_logging=False)


@api.get("/api/query")
def query() -> dict[str, int]:
    return {"groups": Group.objects.count()}
