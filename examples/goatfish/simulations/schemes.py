"""Who calls the API: a user of Django's, known by the key in a header."""

from djfast_mount.auth import api_key
from simulations.models import User


def get_user(key: str) -> User | None:
    return User.objects.filter(api_key=key).first()


key = api_key("X-API-Key", get_user)
