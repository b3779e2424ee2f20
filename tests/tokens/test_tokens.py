"""API tokens: what is stored, what they allow, how they end, and the admin.

Holds `tokens/access.py`, `tokens/admin.py`, `tokens/apps.py`, `tokens/models.py`, `tokens/router.py`,
`tokens/schemes.py` and `tokens/texts.py`.
"""

from __future__ import annotations

import datetime
import importlib
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ValidationError
from django.test import Client as DjangoClient
from django.test import override_settings
from django.utils import timezone
from fastapi import Depends, FastAPI

from djfast_mount import mount
from djfast_mount.auth import CurrentUser
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.testing import Client
from djfast_mount.tokens import access as token_access
from djfast_mount.tokens import models
from djfast_mount.tokens.access import TokenAccess, access_of, transaction_text
from djfast_mount.tokens.models import APIToken
from djfast_mount.tokens.router import router
from djfast_mount.tokens.schemes import APITokenScheme, api_token

pytestmark = pytest.mark.django_db

SCHEMES = {"authentication": ["djfast_mount.tokens.schemes.api_token"], "docs_access": "public"}


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def client(root_path: str) -> Iterator[Client]:
    api = FastAPI()
    api.include_router(router)

    @api.get("/me")
    def me(user: CurrentUser) -> str:
        return str(user.get_username())

    @api.get("/access")
    def access(access: Annotated[TokenAccess, Depends(api_token)]) -> dict[str, Any]:
        return {"user": access.user.username, "scopes": sorted(access.scopes), "critical": access.critical}

    @api.get("/short")
    def short(access: Annotated[TokenAccess, Depends(APITokenScheme("Short", transactions_only=True))]) -> bool:
        return access.transaction

    with override_settings(DJFAST_MOUNT=SCHEMES), Client(mount("/api", api), root_path=root_path) as client:
        yield client


def bearer(text: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {text}"}}


def test_the_app_must_be_installed(settings: Any) -> None:
    """To import the tokens without their app is an error that names INSTALLED_APPS."""
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "djfast_mount.tokens"]
    with pytest.raises(ConfigurationError, match=r"INSTALLED_APPS has no 'djfast_mount.tokens'. Add it there"):
        importlib.reload(models)


def test_the_text_is_stored_nowhere(ada: User) -> None:
    """No column of the row holds the text, or most of it."""
    token, text = APIToken.objects.issue(ada, "script", ["a.read"])
    row = APIToken.objects.values().get(pk=token.pk)
    assert not [name for name, value in row.items() if text[12:] in str(value)]
    assert access_of(text) is not None
    assert text.startswith(row["shown_part"])


def test_what_it_allows(client: Client, ada: User) -> None:
    """A token says who calls and which scopes there are; its use is written down."""
    token, text = APIToken.objects.issue(ada, "script", ["b", "a"])
    assert client.get("/api/access", **bearer(text)).json() == {"user": "ada", "scopes": ["a", "b"], "critical": False}
    token.refresh_from_db()
    assert token.last_used is not None


@pytest.mark.parametrize("end", ["expired", "revoked", "owner", "deleted", "renewed"])
def test_how_it_ends(client: Client, ada: User, end: str) -> None:
    """An expired or revoked token, one of an inactive owner, and an old text of a renewed one are 401."""
    token, text = APIToken.objects.issue(ada, "script")
    short = transaction_text(access_of(text) or pytest.fail("the token is valid"))
    assert client.get("/api/access", **bearer(short)).status_code == 200
    if end == "expired":
        APIToken.objects.update(expires=timezone.now())
    elif end == "revoked":
        assert APIToken.objects.all().revoke() == 1
    elif end == "owner":
        User.objects.update(is_active=False)
    elif end == "deleted":
        token.delete()
    else:
        token.renew()
        token.save()
    answers = [client.get("/api/access", **bearer(each)) for each in (text, short)]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_what_is_no_token(client: Client) -> None:
    """Nothing, another scheme's text, and a made-up one are 401."""
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer dmt_x"}, {"Authorization": "Basic x"}):
        assert client.get("/api/access", headers=headers).status_code == 401
    for text in ("dmx_x", "dmx_", "dmt_"):
        assert client.get("/api/access", **bearer(text)).status_code == 401


def test_its_owner_is_logged_in_by_choice(client: Client, ada: User) -> None:
    """CurrentUser takes a token that acts as its owner; any other is 403, for its scopes would mean nothing there."""
    _, mine = APIToken.objects.issue(ada, "all", as_owner=True)
    _, scoped = APIToken.objects.issue(ada, "some", ["a"])
    assert client.get("/api/me", **bearer(mine)).json() == "ada"
    assert client.get("/api/me", **bearer(scoped)).status_code == 403
    assert client.get("/api/me").status_code == 401
    assert client.get("/api/me", **bearer("dmt_wrong")).status_code == 401


def test_transaction_tokens(client: Client, ada: User) -> None:
    """A token is exchanged for a short-lived one that allows as much or less, critical writes by leave only."""
    _, text = APIToken.objects.issue(ada, "script", ["a", "b"])
    _, critical = APIToken.objects.issue(ada, "keys", ["a"], critical=True)

    def made(text: str, **body: Any) -> Any:
        return client.post("/api/tokens/transaction", json=body, **bearer(text))

    answer = made(text, scopes=["a"])
    assert (answer.status_code, answer.json()["expires_in"], answer.headers["cache-control"]) == (201, 300, "no-store")
    short = answer.json()["token"]
    assert client.get("/api/access", **bearer(short)).json() == {"user": "ada", "scopes": ["a"], "critical": False}
    assert client.get("/api/short", **bearer(short)).json() is True
    assert client.get("/api/short", **bearer(text)).status_code == 401
    assert made(text, scopes=["c"]).status_code == 403
    assert made(text, critical=True).status_code == 403
    assert made(short).status_code == 403
    assert client.get("/api/access", **bearer(made(critical, critical=True).json()["token"])).json()["critical"] is True


def test_a_transaction_token_ends(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is valid for its lifetime, and loses the scopes and the critical writes that its token loses."""
    _, text = APIToken.objects.issue(ada, "script", ["a", "b"], critical=True)
    access = access_of(text)
    assert access is not None
    short = transaction_text(access, critical=True)
    APIToken.objects.update(scopes="b", critical=False)
    found = access_of(short)
    assert found is not None
    assert (found.scopes, found.critical) == ({"b"}, False)
    now = token_access.time.time()
    monkeypatch.setattr(token_access.time, "time", lambda: now + token_access.LIFETIME + 1)
    assert access_of(short) is None


def test_a_transaction_token_ends_with_the_text_of_its_token(ada: User) -> None:
    """What was made of a token is worth nothing once that has another text."""
    token, text = APIToken.objects.issue(ada, "script", ["a"])
    access = access_of(text)
    assert access is not None
    short = transaction_text(access)
    assert access_of(short) is not None
    token.renew()
    token.save()
    assert access_of(short) is None


def test_a_narrow_transaction_token_is_not_its_owner(client: Client, ada: User) -> None:
    """A transaction token logs the owner in if its token does and has no scope that it lacks; otherwise it is 403."""
    _, text = APIToken.objects.issue(ada, "script", ["a", "b"], as_owner=True)
    access = access_of(text)
    assert access is not None
    assert client.get("/api/me", **bearer(transaction_text(access))).json() == "ada"
    for narrow in ([], ["a"]):
        assert client.get("/api/me", **bearer(transaction_text(access, narrow))).status_code == 403


def test_it_cannot_be_signed_by_others(ada: User) -> None:
    """A transaction token of another secret key, or changed, is none."""
    _, text = APIToken.objects.issue(ada, "script", ["a"])
    access = access_of(text)
    assert access is not None
    with override_settings(SECRET_KEY="another"):
        foreign = transaction_text(access)
    assert access_of(foreign) is None
    assert access_of(transaction_text(access)[:-1]) is None


def test_its_use_is_written_once_a_minute(ada: User, django_assert_num_queries: Any) -> None:
    """A second call within the minute writes nothing."""
    _, text = APIToken.objects.issue(ada, "script")
    with django_assert_num_queries(2):
        access_of(text)
    with django_assert_num_queries(1):
        access_of(text)
    APIToken.objects.update(last_used=timezone.now() - datetime.timedelta(minutes=2))
    with django_assert_num_queries(2):
        access_of(text)


def test_scopes_are_checked(ada: User) -> None:
    """What could not be told apart in a list of scopes is refused."""
    with pytest.raises(ValidationError):
        APIToken.objects.issue(ada, "script", ["a b\n"])


@pytest.mark.parametrize("scopes", [[""], ["a b"], ["a,", "b"], [",a"], ["a", ""]])
def test_a_scope_is_one_word(ada: User, scopes: list[str]) -> None:
    """Nothing, several scopes in one text, and a comma that separates two are refused."""
    with pytest.raises(ValidationError, match=r"is no scope\. Separate scopes by single spaces\."):
        APIToken.objects.issue(ada, "script", scopes)


def test_a_text_is_no_list_of_scopes(ada: User) -> None:
    """A text in the place of a list is refused, as its letters would be the scopes."""
    with pytest.raises(TypeError, match=r"issue\(\) got scopes='a.read'. Write a list"):
        APIToken.objects.issue(ada, "script", "a.read")
    access = access_of(APIToken.objects.issue(ada, "script", ["a"]).text) or pytest.fail("the token is valid")
    with pytest.raises(TypeError, match=r"transaction_text\(\) got scopes='a'. Write a list"):
        transaction_text(access, "a")


def test_a_misspelt_argument_of_a_token(ada: User) -> None:
    """Only what `issue()` documents is taken: `expires` is not, which it would replace by a year."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'expires'"):
        APIToken.objects.issue(ada, "script", expires=timezone.now())  # type: ignore[call-arg]
    token, _ = APIToken.objects.issue(ada, "script", expires_in=datetime.timedelta(hours=1), as_owner=True)
    assert token.expires < timezone.now() + datetime.timedelta(hours=2)
    assert (token.as_owner, token.critical) == (True, False)


def test_commas_in_the_admin(admin_client: DjangoClient, ada: User) -> None:
    """Scopes that are separated by commas are refused by the form."""
    sent = {"owner": ada.pk, "name": "script", "scopes": "a.read, a.write"}
    page = admin_client.post("/admin/djfast_mount_tokens/apitoken/add/", sent)
    assert "&#x27;a.read,&#x27; is no scope. Separate scopes by single spaces." in page.content.decode()
    assert not APIToken.objects.exists()


def test_the_admin_shows_it_once(admin_client: DjangoClient, ada: User) -> None:
    """The text is on the page after a token was made, on none after it, and revoking is an action."""
    url = "/admin/djfast_mount_tokens/apitoken/"
    sent = {"owner": ada.pk, "name": "script", "scopes": "a b"}
    page = admin_client.post(f"{url}add/", sent, follow=True).content.decode()
    token = APIToken.objects.get()
    text = next(word for word in page.split() if word.startswith("dmt_") and len(word) > 20)
    access = access_of(text)
    assert access is not None
    assert access.scopes == {"a", "b"}
    for path in (url, f"{url}{token.pk}/change/", f"{url}{token.pk}/history/"):
        assert text not in admin_client.get(path).content.decode()
    admin_client.post(f"{url}{token.pk}/change/", {**sent, "name": "renamed"})
    assert access_of(text) is not None
    admin_client.post(url, {"action": "revoke", "_selected_action": [token.pk]})
    assert access_of(text) is None


@pytest.mark.parametrize("right", ["as_owner", "critical"])
def test_staff_get_no_rights_of_another_by_the_admin(ada: User, right: str) -> None:
    """Who may make and change tokens has only tokens of their own act as the owner; a superuser has any."""
    clerk, boss = User.objects.create_user("clerk", is_staff=True), User.objects.create_superuser("boss")
    clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="djfast_mount_tokens"))
    url = "/admin/djfast_mount_tokens/apitoken/"
    client = DjangoClient()
    client.force_login(clerk)
    sent = {"name": "script", "scopes": ""}

    refused = client.post(f"{url}add/", {**sent, "owner": boss.pk, right: "on"})
    assert "Only a superuser" in refused.content.decode()
    assert not APIToken.objects.exists()
    assert client.post(f"{url}add/", {**sent, "owner": boss.pk}).status_code == 302
    assert client.post(f"{url}add/", {**sent, "owner": clerk.pk, right: "on"}).status_code == 302
    of_boss, own = APIToken.objects.get(owner=boss), APIToken.objects.get(owner=clerk)

    assert client.post(f"{url}{of_boss.pk}/change/", {**sent, "owner": boss.pk, right: "on"}).status_code == 200
    assert client.post(f"{url}{own.pk}/change/", {**sent, "owner": boss.pk, right: "on"}).status_code == 200
    assert not APIToken.objects.filter(owner=boss, **{right: True}).exists()
    client.force_login(boss)
    assert client.post(f"{url}add/", {**sent, "owner": ada.pk, right: "on"}).status_code == 302
    assert APIToken.objects.filter(owner=ada, **{right: True}).exists()
