"""Who sees which rows: what belongs to the tenant of the user whose token it is."""

from typing import Any

from django.db.models import Q

from djfast_mount.crud import ActionScopes
from djfast_mount.tokens.access import TokenAccess
from djfast_mount.tokens.schemes import APITokenScheme

token = APITokenScheme("Transaction Token")


def scopes_of(resource: str) -> ActionScopes:
    return ActionScopes(**{action: [f"{resource}.{action}"] for action in ("read", "create", "update", "delete")})


def of_the_tenant(access: TokenAccess) -> Q:
    # A user without a tenant sees nothing: no row has none.
    return Q(tenant=access.user.tenant_id)


def set_the_tenant(access: TokenAccess) -> dict[str, Any]:
    return {"tenant": access.user.tenant}
