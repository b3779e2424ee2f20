"""The table of API tokens."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, router
from django.utils import timezone

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.tokens.texts import digest_of, new_text, shown_part

__all__ = ["APIToken", "Issued", "check_scope"]

# Within the app djfast_mount, Django would take the models for its own, and no migration would make their table.
if not apps.is_installed("djfast_mount.tokens"):
    raise ConfigurationError(
        "djfast_mount.tokens is imported, and INSTALLED_APPS has no 'djfast_mount.tokens'. Add it there, and run "
        "migrate."
    )

# A token without an end outlives the people who knew of it. None has to be asked for.
YEAR = datetime.timedelta(days=365)
# Scopes as OAuth has them (RFC 6749, section 3.3): printable, without spaces and quotes.
_SCOPES = RegexValidator(
    r"^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*\Z", "Separate scopes by single spaces."
)


def check_scope(scope: str) -> None:
    """Raises ValidationError where `scope` is not one scope: it is none, or several, or has a comma at its end."""
    # A comma may be part of a scope. At an end it is meant to separate two, and the scope would match nothing.
    if scope.strip(",") != scope or not scope or " " in scope:
        raise ValidationError(f"{scope!r} is no scope. {_SCOPES.message}")
    _SCOPES(scope)


class Issued(NamedTuple):
    """A new token, and its text, which is not to be had again."""

    token: APIToken
    text: str


class APITokenQuerySet(models.QuerySet["APIToken"]):
    """Tokens."""

    def issue(
        self,
        owner: Any,
        name: str,
        scopes: Iterable[str] = (),
        *,
        expires_in: datetime.timedelta | None = YEAR,
        as_owner: bool = False,
        critical: bool = False,
    ) -> Issued:
        """Returns a new token of `owner`, saved, with its text. Runs on the thread of the ORM.

        Args:
            name: What people know it by.
            scopes: What it allows.
            expires_in: None: it does not expire.
            as_owner: Whether it logs its owner in wherever a user is asked for, whatever its scopes are.
            critical: Whether transaction tokens may be made of it that allow critical writes.

        Raises:
            ValidationError: A scope is none.
            TypeError: `scopes` is a text.
        """
        # A text is an iterable too: its letters would be the scopes.
        if isinstance(scopes, str):
            raise TypeError(f'issue() got scopes={scopes!r}. Write a list, as in ["companies.read"].')
        given = list(scopes)
        for scope in given:
            check_scope(scope)
        token = self.model(owner=owner, name=name, scopes=" ".join(given), as_owner=as_owner, critical=critical)
        token.expires = None if expires_in is None else timezone.now() + expires_in
        text = token.renew()
        # A replica may lack the owner still, and the database that is written will say if there is none.
        token.full_clean(exclude=["owner"])
        # Not `save(using=self.db)`: until it writes, a queryset names the database that is read.
        values = {field.attname: getattr(token, field.attname) for field in token._meta.concrete_fields}
        return Issued(self.create(**values), text)

    def valid(self) -> APITokenQuerySet:
        """Those that have neither expired nor been revoked."""
        return self.filter(models.Q(expires__isnull=True) | models.Q(expires__gt=timezone.now()), revoked__isnull=True)

    def of_text(self, text: str) -> APIToken | None:
        """Returns the valid token with this text; None where there is none, or its owner is not active."""
        # Found by its hash: the database compares no secret, so its index tells nothing by its timing.
        return _of_active_owner(self.valid().select_related("owner").filter(digest=digest_of(text)).first())

    def of_key(self, key: Any) -> APIToken | None:
        """Returns the valid token with this primary key; None where there is none, or its owner is not active."""
        return _of_active_owner(self.valid().select_related("owner").filter(pk=key).first())

    def revoke(self) -> int:
        """Revokes them all. Returns how many were not revoked before."""
        # Only those that are valid still: the time of the first revocation is what an audit asks for.
        return self.filter(revoked__isnull=True).update(revoked=timezone.now())


class APIToken(models.Model):
    """A token of a user, for programs. Of its text the database has a hash alone."""

    owner: models.ForeignKey[Any, Any] = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens"
    )
    name: models.CharField[str, str] = models.CharField(max_length=100)
    scopes: models.TextField[str, str] = models.TextField(
        blank=True, validators=[_SCOPES], help_text="What it allows, separated by spaces."
    )
    as_owner: models.BooleanField[bool, bool] = models.BooleanField(
        "acts as its owner",
        default=False,
        help_text="Whether it logs its owner in wherever a user is asked for, whatever its scopes are.",
    )
    critical: models.BooleanField[bool, bool] = models.BooleanField(
        default=False, help_text="Whether transaction tokens may be made of it that allow critical writes."
    )
    shown_part: models.CharField[str, str] = models.CharField("begins with", max_length=20, editable=False)
    digest: models.CharField[str, str] = models.CharField(max_length=64, unique=True, editable=False)
    created: models.DateTimeField[Any, Any] = models.DateTimeField(auto_now_add=True)
    expires: models.DateTimeField[Any, Any] = models.DateTimeField(null=True, blank=True)
    last_used: models.DateTimeField[Any, Any] = models.DateTimeField(null=True, blank=True, editable=False)
    revoked: models.DateTimeField[Any, Any] = models.DateTimeField(null=True, blank=True, editable=False)

    objects = cast("APITokenQuerySet", APITokenQuerySet.as_manager())  # it has the methods of both

    class Meta:
        verbose_name = "API token"
        ordering = ("-created",)

    def __str__(self) -> str:
        return f"{self.name} ({self.shown_part}…)"

    def renew(self) -> str:
        """Gives it a new text, which is returned, and not saved.

        Once it is saved, the text before is worth nothing, and neither are transaction tokens that were made of it.
        """
        text = new_text()
        self.digest, self.shown_part = digest_of(text), shown_part(text)
        return text

    def note_use(self) -> None:
        """Writes down that it is used: once a minute at most, so that reading requests stay without a write."""
        now = timezone.now()
        if self.last_used is None or now - self.last_used >= datetime.timedelta(minutes=1):
            # An UPDATE of one column: `save()` would write back what has been changed since, a revocation say.
            using = router.db_for_write(type(self), instance=self)
            type(self)._default_manager.using(using).filter(pk=self.pk).update(last_used=now)


def _of_active_owner(token: APIToken | None) -> APIToken | None:
    # A user model of a project's own may have no such field.
    return token if token is not None and getattr(token.owner, "is_active", True) else None
