"""Django's own place for errors that nobody caught: `handler500` in the URLconf."""

from __future__ import annotations

import sys

from django.db import InterfaceError, InternalError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template import TemplateDoesNotExist, loader
from django.views import defaults
from django.views.decorators.csrf import requires_csrf_token

from djfast_mount.exception_handlers.database_errors import is_outage

__all__ = ["server_error"]

RETRY_AFTER = "1"  # seconds
_TEMPLATE = "503.html"
# As plain as Django's own page for a 500, and made without a template or a database.
_PAGE = """
<!doctype html>
<html lang="en">
<head><title>Service Unavailable (503)</title></head>
<body><h1>Service Unavailable (503)</h1><p>Try again in a moment.</p></body>
</html>
"""


@requires_csrf_token
def server_error(request: HttpRequest, template_name: str = "500.html") -> HttpResponse:
    """A ``handler500``: 503 with Retry-After if the database is away, else what Django's own answers.

    The page is the template ``503.html`` if there is one. Django calls it, while it handles the exception, if DEBUG is
    off, and logs the answer with the traceback.
    """
    error = sys.exc_info()[1]
    if not isinstance(error, OperationalError | InterfaceError | InternalError) or not is_outage(error):
        return defaults.server_error(request, template_name)
    try:
        page = loader.get_template(_TEMPLATE).render()
    except TemplateDoesNotExist:
        page = _PAGE
    return HttpResponse(page, status=503, headers={"Retry-After": RETRY_AFTER})
