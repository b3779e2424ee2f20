import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from fastapi import FastAPI  # noqa: E402

api = FastAPI(root_path="/api")


@api.get("/users")
def users() -> list[str]:
    return list(User.objects.order_by("username").values_list("username", flat=True))
