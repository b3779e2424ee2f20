"""Who calls the API: a user of Django's, known by the token in a header, of which the database has a hash."""

from djfast_mount.auth import api_key
from djfast_mount.tokens.models import APIToken
from simulations.models import User


def get_user(key: str) -> User | None:
    token = APIToken.objects.of_text(key)
    if token is None or not token.as_owner:
        return None
    token.note_use()
    return token.owner


key = api_key("X-API-Key", get_user)
