"""JWT: which tokens pass, which keys are asked, and what a site cannot ask for."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Event, Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import HTTPException
from freezegun import freeze_time
from starlette.requests import Request

from djfast_mount.crud import Access
from djfast_mount.crud.jwt import JWT
from djfast_mount.exceptions import ConfigurationError

pytestmark = pytest.mark.once

KEY = ec.generate_private_key(ec.SECP521R1())
OTHER = ec.generate_private_key(ec.SECP521R1())
SECRET = "a secret of at least sixty-four bytes, as HS512 wants it to be so long"
scheme = JWT(key=KEY.public_key(), audience="companies", issuer="https://issuer", leeway=2)


def token(key: Any = KEY, algorithm: str | None = "ES512", headers: Any = None, **claims: Any) -> str:
    every = {
        "sub": "ada",
        "ten": 7,
        "jti": "1",
        "scope": "a b",
        "aud": "companies",
        "iss": "https://issuer",
        "exp": time.time() + 60,
    }
    kept = {name: value for name, value in {**every, **claims}.items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm, headers=headers)


def refused(text: str, scheme: JWT = scheme) -> bool:
    try:
        scheme.token(text)
    except HTTPException as error:
        return (error.status_code, error.headers) == (401, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
    return False


def test_what_a_token_says() -> None:
    """User, tenant, scopes and whether it is critical are read from the claims."""
    found = scheme.token(token(crt=True))
    assert (found.user_id, found.tenant_id, found.jti, found.critical) == ("ada", 7, "1", True)
    assert isinstance(found, Access)
    assert found.has_scope("a")
    assert not found.has_scope("c")
    assert not scheme.token(token(crt="yes")).critical
    assert scheme.token(token(scope=None, scp=["x"])).scopes == {"x"}


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": time.time() - 10},
        {"exp": None},
        {"nbf": time.time() + 86400},
        {"iss": "https://another"},
        {"iss": None},
        {"aud": "others"},
        {"aud": None},
    ],
)
def test_claims_that_are_refused(claims: dict[str, Any]) -> None:
    """Expired, not valid yet, without an expiry, or of another issuer or audience: 401."""
    assert refused(token(**claims))


def test_leeway() -> None:
    """Clocks may differ by as much as is said, and no more."""
    assert not refused(token(exp=time.time() - 1))
    assert refused(token(exp=time.time() - 5))


def unsigned(text: str, header: dict[str, Any]) -> str:
    part = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return ".".join([part, text.split(".")[1], ""])


def test_signatures_that_are_refused() -> None:
    """Another key, no signature, `none` in any spelling, a public key as a secret, and another algorithm: 401."""
    pem = KEY.public_key().public_bytes
    public = pem(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body, _ = token(SECRET, "HS512").split(".")
    signature = hmac.new(public, f"{head}.{body}".encode(), hashlib.sha512).digest()
    confused = f"{head}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    assert refused(token(OTHER))
    assert refused(confused)
    assert refused(token(SECRET, "HS512"))
    for name in ("none", "None", "NONE"):
        assert refused(unsigned(token(), {"alg": name, "typ": "JWT"}))
    assert refused(token()[:-4])
    assert refused("x")
    assert refused("")


def part(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def signed(body: bytes, head: bytes = b'{"alg": "ES512"}') -> str:
    """A token with any bytes for a header and a body, signed by the issuer."""
    text = f"{part(head)}.{part(body)}"
    return f"{text}.{part(jwt.algorithms.get_default_algorithms()['ES512'].sign(text.encode(), KEY))}"


def test_keys_that_a_token_brings() -> None:
    """A key, or where to find one, in the header of a token is not looked at: 401, and nothing is fetched."""
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(OTHER.public_key()))
    for headers in ({"jwk": jwk}, {"jku": "http://127.0.0.1:9/keys"}, {"x5u": "http://127.0.0.1:9"}, {"x5c": ["a"]}):
        assert refused(token(OTHER, headers=headers))
        assert not refused(token(headers=headers))


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1", "\x00", "x" * 9999, 5, None, [], {"a": 1}])
def test_names_of_keys_that_are_made_up(kid: Any) -> None:
    """A kid is looked up among the known ones, whatever it is: 401."""
    several = JWT(key={"1": KEY.public_key()}, algorithms=["ES512"], audience="companies", issuer="https://issuer")
    head = json.dumps({"alg": "ES512", "kid": kid}).encode()
    assert refused(signed(token().split(".")[1].encode(), head), several)


def test_extensions_that_must_be_understood() -> None:
    """A header that says in ``crit`` what must be understood is refused (RFC 7515, section 4.1.11)."""
    claims = {"sub": "ada", "aud": "companies", "iss": "https://issuer", "exp": time.time() + 60}
    head = b'{"alg": "ES512", "crit": ["policy"], "policy": "strict"}'
    assert not refused(signed(json.dumps(claims).encode()))
    assert refused(signed(json.dumps(claims).encode(), head))


@pytest.mark.parametrize(
    "nested", [b"[" * 40_000, b'{"a":' * 8_000, b"1" * 40_000, b'{"exp": 1e999}', b"\xff", b"null", b"[]"]
)
def test_what_is_no_token_at_all(nested: bytes) -> None:
    """A header or a body that no JSON reader likes is 401, signed or not."""
    assert refused(f"{part(nested)}.{part(b'{}')}.{part(b'x')}")
    assert refused(signed(nested))
    assert refused(signed(token().split(".")[1].encode(), nested))


@pytest.mark.parametrize(
    "claims", [{"exp": "soon"}, {"exp": [1]}, {"scope": 5}, {"scope": {"a": 1}}, {"aud": {"a": 1}}, {"nbf": "a"}]
)
def test_claims_of_another_type(claims: dict[str, Any]) -> None:
    """A claim that is not what the RFC says is 401, or says nothing: no scope comes of it."""
    text = signed(
        json.dumps(
            {"sub": "ada", "aud": "companies", "iss": "https://issuer", "exp": time.time() + 60, **claims}
        ).encode()
    )
    assert refused(text) or scheme.token(text).scopes == frozenset()


def test_a_token_for_somebody_else() -> None:
    """A scheme without an audience refuses tokens that name one (RFC 7519, section 4.1.3)."""
    anybodys = JWT(key=KEY.public_key(), algorithms=["ES512"])
    assert not refused(token(aud=None), anybodys)
    assert refused(token(aud="another service"), anybodys)


def test_it_ends_at_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without leeway a token is refused from the second on that it names."""
    exact = JWT(key=KEY.public_key(), algorithms=["ES512"], audience="companies")
    with freeze_time("2030-01-01 12:00:00") as clock:
        text = token(exp=int(time.time()) + 1)
        assert not refused(text, exact)
        clock.tick(1)
        assert refused(text, exact)


def test_several_keys() -> None:
    """With several keys a token names its own; one that is unknown or missing is refused."""
    several = JWT(key={"old": OTHER.public_key(), "new": KEY.public_key()}, audience="companies")
    assert not refused(token(headers={"kid": "new"}), several)
    assert not refused(token(OTHER, headers={"kid": "old"}), several)
    assert refused(token(OTHER, headers={"kid": "new"}), several)
    assert refused(token(headers={"kid": "?"}), several)
    assert refused(token(), several)


@pytest.fixture
def issuer() -> Iterator[Any]:
    """An issuer that publishes its keys, and counts how often it is asked."""
    kept: dict[str, Any] = {"keys": {}, "asked": 0, "gone": False}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kept["asked"] += 1
            if kept["gone"]:
                self.send_error(503)
                return
            made = [
                {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"}
                for kid, key in kept["keys"].items()
            ]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": made}).encode())

        def log_message(self, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    kept["url"] = f"http://127.0.0.1:{server.server_port}/keys"
    yield kept
    server.shutdown()
    server.server_close()
    thread.join()


def test_rotation_of_keys(issuer: Any) -> None:
    """Keys are fetched once, and again for a new one, though not for each that is made up."""
    first, second = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    issuer["keys"] = {"1": first}
    remote = JWT(jwks_url=issuer["url"], algorithms=["RS256"], audience="companies", refresh=0)
    for _ in range(3):
        assert not refused(token(first, "RS256", {"kid": "1"}), remote)
    assert issuer["asked"] == 1
    issuer["keys"] = {"2": second}
    assert not refused(token(second, "RS256", {"kid": "2"}), remote)
    assert refused(token(first, "RS256", {"kid": "1"}), remote)
    patient = JWT(jwks_url=issuer["url"], algorithms=["RS256"], audience="companies", refresh=3600)
    before = issuer["asked"]
    for number in range(5):
        assert refused(token(first, "RS256", {"kid": f"made up {number}"}), patient)
    assert issuer["asked"] == before + 1


def test_a_key_that_was_withdrawn(issuer: Any) -> None:
    """The issuer is asked anew after a while: a key that it has withdrawn signs nothing any more."""
    key = rsa.generate_private_key(65537, 2048)
    issuer["keys"] = {"1": key}
    remote = JWT(jwks_url=issuer["url"], algorithms=["RS256"], audience="companies", refresh=0, lifespan=0.2)
    text = token(key, "RS256", {"kid": "1"})
    assert not refused(text, remote)
    issuer["keys"] = {}
    time.sleep(0.25)
    assert refused(text, remote)


def test_an_issuer_that_has_gone(issuer: Any) -> None:
    """Keys that are too old are good for nothing where the issuer cannot be asked, who is not asked by each call."""
    key = rsa.generate_private_key(65537, 2048)
    issuer["keys"] = {"1": key}
    remote = JWT(jwks_url=issuer["url"], algorithms=["RS256"], audience="companies", refresh=3600, lifespan=0.2)
    text = token(key, "RS256", {"kid": "1"})
    assert not refused(text, remote)
    issuer["gone"] = True
    time.sleep(0.25)
    for _ in range(3):
        assert refused(text, remote)
    assert issuer["asked"] == 2


def test_a_made_up_key_stalls_nobody(issuer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While an unknown key is asked for, tokens of known keys are verified, and on the event loop."""
    key = rsa.generate_private_key(65537, 2048)
    issuer["keys"] = {"1": key}
    remote = JWT(jwks_url=issuer["url"], algorithms=["RS256"], audience="companies", refresh=0)
    text = token(key, "RS256", {"kid": "1"})
    assert not refused(text, remote)
    asked, answers = Event(), Event()
    fetch = remote._keys._client.get_signing_keys

    def slowly() -> Any:
        asked.set()
        assert answers.wait(30)
        return fetch()

    monkeypatch.setattr(remote._keys._client, "get_signing_keys", slowly)
    stranger = Thread(target=refused, args=(token(key, "RS256", {"kid": "made up"}), remote))
    stranger.start()
    assert asked.wait(30)
    called_meanwhile = Thread(target=refused, args=(text, remote))
    called_meanwhile.start()
    called_meanwhile.join(20)
    was_stalled = called_meanwhile.is_alive()
    answers.set()
    stranger.join()
    called_meanwhile.join()
    assert not was_stalled
    assert remote._keys.knows(text)
    assert not remote._keys.knows(token(key, "RS256", {"kid": "another"}))


def test_an_issuer_that_fails_prolongs_no_key(issuer: Any) -> None:
    """A fetch that failed, for a made-up key, neither takes the known ones away nor lets them live longer."""
    key = rsa.generate_private_key(65537, 2048)
    issuer["keys"] = {"1": key}
    remote = JWT(jwks_url=issuer["url"], algorithms=["RS256"], audience="companies", refresh=0, lifespan=1.5)
    text = token(key, "RS256", {"kid": "1"})
    assert not refused(text, remote)
    issuer["gone"] = True
    assert refused(token(key, "RS256", {"kid": "made up"}), remote)
    assert not refused(text, remote)
    time.sleep(0.8)
    assert refused(token(key, "RS256", {"kid": "made up"}), remote)
    time.sleep(0.8)
    assert refused(text, remote)


def test_an_issuer_that_does_not_answer() -> None:
    """Its tokens are refused: nothing passes without a key."""
    remote = JWT(jwks_url="http://127.0.0.1:1/keys", algorithms=["RS256"])
    assert refused(token(SECRET, "HS512", {"kid": "1"}), remote)


def request(**headers: str) -> Request:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


async def called(scheme: JWT, **headers: str) -> Any:
    return await scheme(request(**headers))


def test_the_header() -> None:
    """No token is 401, or None by choice; a wrong one is 401 by choice too."""
    optional = JWT(key=KEY.public_key(), auto_error=False, audience="companies")
    assert asyncio.run(called(optional)) is None
    assert asyncio.run(called(scheme, authorization=f"Bearer {token()}")).user_id == "ada"
    for each, headers in (
        (scheme, {}),
        (scheme, {"authorization": "Basic x"}),
        (optional, {"authorization": "Bearer x"}),
        (optional, {"authorization": "nonsense"}),
    ):
        with pytest.raises(HTTPException) as caught:
            asyncio.run(called(each, **headers))
        assert caught.value.status_code == 401


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "give key= or jwks_url="),
        ({"key": "x", "jwks_url": "http://x"}, "not both"),
        ({"key": "x", "algorithms": ["none"]}, "'none', which signs nothing"),
        ({"key": "x", "algorithms": ["HS257"]}, "not known"),
        ({"key": "x", "algorithms": []}, "Name them in a list"),
        ({"key": "x", "algorithms": "HS256"}, "Name them in a list"),
        ({"key": "x", "algorithms": ["HS256", "RS256"]}, "a public key could be taken for a secret"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], told: str) -> None:
    """A scheme that could be fooled, or has no key, is an error when it is made."""
    with pytest.raises(ConfigurationError) as caught:
        JWT(**options)
    assert told in str(caught.value)
