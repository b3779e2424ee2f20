"""The API's docs pages: Swagger UI and ReDoc with the files of this package, and their Content Security Policy.

No page has a script of its own: those of the package read what the page says from the attributes of their element.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.openapi.docs import swagger_ui_default_parameters

__all__ = ["DocsPage", "Token", "redoc", "swagger_ui", "swagger_ui_redirect"]

_PAGE = """<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="{icon}">
{styles}
</head>
<body>
{body}
{scripts}
</body>
</html>
"""
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self' data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    # "Try it out" sends the user's cookies: the page must not be framed by another site (clickjacking).
    "frame-ancestors": "'none'",
}
# What redoc.standalone.js adds before it can be told the nonce: an empty element, and the style of its scroll bars.
_REDOC_STYLES = (
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
)
_URLS_IN_FLOWS = ("tokenUrl", "refreshUrl")

Files = Callable[[str], str]


@dataclass(frozen=True)
class Token:
    """How an unsafe call says that it comes from a page of the site: Django's names, and the token of this page."""

    header: str
    cookie: str
    value: str


@dataclass(frozen=True)
class DocsPage:
    """A page, and the headers that are due with it, their names in lower case."""

    html: str
    headers: Mapping[str, str]


def swagger_ui(api: FastAPI, root_path: str, files: Files, token: Token | None) -> DocsPage:
    """Returns the page of Swagger UI, with the parameters that `api` has for it."""
    redirect = api.swagger_ui_oauth2_redirect_url
    said = {
        "openapi-url": f"{root_path}{api.openapi_url}",
        "parameters": _json({**swagger_ui_default_parameters, **(api.swagger_ui_parameters or {})}),
        "oauth2-redirect-url": f"{root_path}{redirect}" if redirect else "",
        "init-oauth": _json(api.swagger_ui_init_oauth) if api.swagger_ui_init_oauth else "",
        "csrf-header": token.header if token else "",
        "csrf-cookie": token.cookie if token else "",
        "csrf-token": token.value if token else "",
    }
    return _page(
        f"{api.title} - Swagger UI",
        SafeString('<div id="swagger-ui"></div>'),
        files,
        scripts={"swagger-ui/swagger-ui-bundle.js": {}, "docs-swagger.js": _data(said)},
        styles=("swagger-ui/swagger-ui.css", "docs.css"),
        schema=api.openapi(),
    )


def redoc(api: FastAPI, root_path: str, files: Files) -> DocsPage:
    """Returns the page of ReDoc, which only shows the API and calls nothing but its schema."""
    # 128 bits, new with each page, as Content Security Policy Level 3 asks.
    nonce = secrets.token_urlsafe(16)
    said = {**_data({"openapi-url": f"{root_path}{api.openapi_url}"}), "nonce": nonce}
    return _page(
        f"{api.title} - ReDoc",
        SafeString('<div id="redoc"></div><noscript>ReDoc needs JavaScript.</noscript>'),
        files,
        scripts={"redoc/redoc.standalone.js": {}, "docs-redoc.js": said},
        styles=("docs.css",),
        # ReDoc makes style elements, and its search runs in a worker that it makes of its own text.
        policy={"style-src": f"'self' 'nonce-{nonce}' {_REDOC_STYLES}", "worker-src": "blob:"},
    )


def swagger_ui_redirect(files: Files) -> DocsPage:
    """Returns the page to which an OAuth2 server sends the browser back from Swagger UI's "Authorize"."""
    page = _page(
        "Swagger UI: OAuth2 Redirect", SafeString(), files, scripts={"swagger-ui/oauth2-redirect.js": {}}, styles=()
    )
    # This page calls back the page that opened it. The login page of the other server came in between, and with the
    # usual policy the browser would have cut the link by then.
    return DocsPage(page.html, {**page.headers, "cross-origin-opener-policy": "unsafe-none"})


def _page(
    title: str,
    body: SafeString,
    files: Files,
    *,
    scripts: Mapping[str, Mapping[str, str]],
    styles: tuple[str, ...],
    policy: Mapping[str, str] | None = None,
    schema: Mapping[str, Any] | None = None,
) -> DocsPage:
    html = format_html(
        _PAGE,
        title=title,
        icon=files("swagger-ui/favicon-32x32.png"),
        styles=format_html_join("\n", '<link rel="stylesheet" href="{}">', ((files(name),) for name in styles)),
        body=body,
        scripts=format_html_join(
            "\n", '<script src="{}"{}></script>', ((files(name), _attributes(said)) for name, said in scripts.items())
        ),
    )
    flows = list(_flows(schema or {}))
    rules = {**_POLICY, **(policy or {})}
    rules["connect-src"] = " ".join(["'self'", *sorted(_foreign_origins(schema or {}, flows))])
    # Of all files, one on another host tells where that is: STATIC_URL may be a CDN's.
    for rule in ("script-src", "style-src", "img-src"):
        rules[rule] = " ".join([rules[rule], *_origins([files("docs.css")])])
    headers = {"content-security-policy": "; ".join(f"{rule} {sources}" for rule, sources in rules.items())}
    if flows:
        # "Authorize" opens the other server's page, which is to answer this one.
        headers["cross-origin-opener-policy"] = "same-origin-allow-popups"
    return DocsPage(html, headers)


def _json(value: Any) -> str:
    # Into an attribute, where `format_html` escapes it: JSON in a script element would need a policy that allows
    # scripts there.
    return json.dumps(jsonable_encoder(value))


def _data(said: Mapping[str, str]) -> dict[str, str]:
    return {f"data-{name}": value for name, value in said.items() if value}


def _attributes(said: Mapping[str, str]) -> SafeString:
    return format_html_join("", ' {}="{}"', said.items())


def _flows(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The OAuth2 flows of an OpenAPI schema."""
    for scheme in schema.get("components", {}).get("securitySchemes", {}).values():
        if scheme.get("openIdConnectUrl"):
            yield {"tokenUrl": scheme["openIdConnectUrl"]}
        yield from scheme.get("flows", {}).values()


def _foreign_origins(schema: Mapping[str, Any], flows: list[Mapping[str, Any]]) -> set[str]:
    """The origins beyond the page's own that "Try it out" and "Authorize" call."""
    urls = [str(server.get("url", "")) for server in schema.get("servers", ())]
    urls += [str(flow[name]) for flow in flows for name in _URLS_IN_FLOWS if flow.get(name)]
    return set(_origins(urls))


def _origins(urls: list[str]) -> Iterator[str]:
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https"):
            # A server's URL may have variables, as in "https://{region}.example.com".
            # A policy has no pattern for a variable: the scheme alone is the narrowest source that lets the page work.
            yield f"{parts.scheme}:" if "{" in parts.netloc else f"{parts.scheme}://{parts.netloc}"
