"""How an error of the configuration is told as a check."""

from __future__ import annotations

from django.core import checks
from django.core.checks import CheckMessage

__all__ = ["as_check"]


def as_check(error: Exception, id_: str, obj: str | None = None, otherwise: str | None = None) -> CheckMessage:
    """Returns the check that tells of `error`: its first sentence is the message, and the remedy is the hint.

    Args:
        obj: The module that it is told of.
        otherwise: The hint where the error has no second sentence.
    """
    message, *remedy = str(error).split(". ", 1)
    return checks.Error(f"{message.removesuffix('.')}.", hint=" ".join(remedy) or otherwise, obj=obj, id=id_)
