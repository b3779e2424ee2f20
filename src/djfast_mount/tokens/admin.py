"""Tokens in the admin: made, looked at, revoked. The text of a new one is shown once.

Who may make or change tokens gets no rights of another user by that: only superusers have others' tokens act as their
owners, or allow critical writes.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest

from djfast_mount.tokens.models import APIToken, check_scope

__all__ = ["APITokenAdmin"]


class _TokenForm(forms.ModelForm):  # type: ignore[type-arg]
    caller: Any = None

    def clean_scopes(self) -> str:
        scopes: str = self.cleaned_data["scopes"]
        for scope in scopes.split():
            check_scope(scope)
        return scopes

    def clean(self) -> Any:
        cleaned = super().clean()
        values = self.cleaned_data
        # Fields that the form does not have are as the row has them.
        owner = values.get("owner", getattr(self.instance, "owner", None) if self.instance.pk else None)
        if owner == self.caller or getattr(self.caller, "is_superuser", False):
            return cleaned
        for name in ("as_owner", "critical"):
            if values.get(name, getattr(self.instance, name)):
                message = "Only a superuser may set this on a token of another user."
                self.add_error(name if name in self.fields else None, message)
        return cleaned


@admin.register(APIToken)
class APITokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Tokens in the admin."""

    form = _TokenForm
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

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Returns the form, which knows who fills it in."""
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"caller": request.user})

    def save_model(self, request: HttpRequest, obj: APIToken, form: Any, change: bool) -> None:
        """Gives a new token its text, and shows it."""
        text = None if change else obj.renew()
        super().save_model(request, obj, form, change)
        if text is not None:
            told = f"The token is {text} : copy it now. It is not shown again, and nobody can look it up."
            self.message_user(request, told, messages.WARNING)
