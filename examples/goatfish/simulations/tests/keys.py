"""Keys of users, for the tests."""

from djfast_mount.tokens.models import APIToken
from simulations.models import User


def key_of(user: User) -> str:
    return APIToken.objects.issue(user, "test", as_owner=True).text
