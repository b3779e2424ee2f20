"""Tokens in the admin: made, looked at, revoked. The text of a new one is shown once."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest

from djfast_mount.tokens.models import APIToken

__all__ = ["APITokenAdmin"]


@admin.register(APIToken)
class APITokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Tokens in the admin."""

    list_display = ("name", "owner", "shown_part", "scopes", "created", "expires", "last_used", "revoked")
    list_filter = ("revoked", "as_owner", "critical")
    search_fields = ("name", "shown_part")
    # A list of all users would be a page of its own in a large project.
    raw_id_fields = ("owner",)
    fields = ("owner", "name", "scopes", "as_owner", "critical", "expires", "shown_part", "last_used", "revoked")
    # Revoking is an action, which needs a permission, and cannot be undone by a form.
    readonly_fields = ("shown_part", "last_used", "revoked")
    actions = ("revoke",)

    @admin.action(description="Revoke selected tokens", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: Any) -> None:
        """Revokes the selected tokens."""
        number = queryset.revoke()
        self.message_user(request, f"{number} revoked.", messages.SUCCESS)

    def save_model(self, request: HttpRequest, obj: APIToken, form: Any, change: bool) -> None:
        """Gives a new token its text, and shows it."""
        text = None if change else obj.renew()
        super().save_model(request, obj, form, change)
        if text is not None:
            told = f"The token is {text} : copy it now. It is not shown again, and nobody can look it up."
            self.message_user(request, told, messages.WARNING)
