"""JSON Web Tokens.

The algorithm follows from the kind of key that was configured, never from the token: `alg: none` and an HMAC made with
a public key are refused because that algorithm is not the key's.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jwt

from inference_server.errors import Refusal

_SHORTEST_SECRET_BYTES = 32  # RFC 7518, 3.2: at least as long as the hash
_LONGEST_TOKEN_CHARACTERS = 8192
_LONGEST_SUBJECT_CHARACTERS = 255  # OpenID Connect Core 1.0, section 2
_REFETCH_S = 30.0


class Keys(Protocol):
    """The keys that tokens may be signed with."""

    @property
    def algorithm(self) -> str:
        """The one algorithm that goes with these keys."""

    def find(self, key_id: str | None) -> Any:  # noqa: ANN401 PyJWT's key types
        """The key for a token's `kid`; None where there is none. May block on the network."""


class SecretKey:
    """A shared secret, HS256.

    Raises:
        ValueError: too short, or a PEM: a public key taken for a secret would let everybody sign.
    """

    algorithm = "HS256"

    def __init__(self, secret: bytes) -> None:
        if len(secret) < _SHORTEST_SECRET_BYTES:
            raise ValueError(f"the secret has {len(secret)} bytes; at least {_SHORTEST_SECRET_BYTES} are needed")
        if b"-----BEGIN" in secret:
            raise ValueError("the secret is a PEM file; HS256 wants random bytes")
        self._secret = secret

    def find(self, key_id: str | None) -> bytes:  # noqa: ARG002 one key for all
        """The secret."""
        return self._secret


class PublicKey:
    """One RSA public key in PEM, RS256.

    Raises:
        ValueError: no RSA public key.
    """

    algorithm = "RS256"

    def __init__(self, pem: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        key = load_pem_public_key(pem)
        if not isinstance(key, RSAPublicKey):
            raise ValueError("RS256 wants an RSA public key")  # noqa: TRY004 the file's content, not a Python type
        self._key = key

    def find(self, key_id: str | None) -> Any:  # noqa: ANN401, ARG002
        """The key."""
        return self._key


class KeySet:
    """A JSON Web Key Set that is fetched when a token names a key that is not known yet, RS256.

    Args:
        fetch: gives the set as JSON; may raise OSError or ValueError.
        clock: seconds; unknown keys cause at most one fetch in 30 s, so that forged key ids cost nothing.
    """

    algorithm = "RS256"

    def __init__(self, fetch: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._fetched_s: float | None = None
        self._keys: dict[str, Any] = {}

    def find(self, key_id: str | None) -> Any:  # noqa: ANN401
        """The key with this id."""
        if key_id is None:
            return None
        with self._lock:
            if key_id not in self._keys and self._may_fetch():
                self._fetched_s = self._clock()
                self._keys = _signing_keys(self._fetch())
            return self._keys.get(key_id)

    def _may_fetch(self) -> bool:
        return self._fetched_s is None or self._clock() - self._fetched_s >= _REFETCH_S


def _signing_keys(text: str) -> dict[str, Any]:
    """RSA keys that are meant for signatures, by id; others are left out."""
    found: dict[str, Any] = {}
    for entry in json.loads(text)["keys"]:
        fits = entry.get("kty") == "RSA" and entry.get("use", "sig") == "sig" and entry.get("alg", "RS256") == "RS256"
        if fits and "kid" in entry:
            found[entry["kid"]] = jwt.PyJWK(entry, "RS256").key
    return found


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must say.

    Attributes:
        audience: must be among its `aud`.
        issuer: must be its `iss`, where one is configured.
        leeway_s: clocks may differ by so much.
    """

    audience: str
    issuer: str | None = None
    leeway_s: float = 10.0


class Verifier:
    """Tells whose token it is."""

    def __init__(self, keys: Keys, rules: TokenRules) -> None:
        self._keys = keys
        self._rules = rules

    def subject(self, headers: Mapping[bytes, bytes]) -> str:
        """The `sub` of the bearer token.

        Raises:
            Refusal: 401; the reason is told in general words only.
        """
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > _LONGEST_TOKEN_CHARACTERS:
            raise _unauthorized("a bearer token is needed")
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.find(header.get("kid"))
            if key is None:
                raise _unauthorized("the token's key is not known")
            claims = jwt.decode(
                token,
                key,
                algorithms=[self._keys.algorithm],
                audience=self._rules.audience,
                issuer=self._rules.issuer,
                leeway=self._rules.leeway_s,
                options={"require": ["exp", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise _unauthorized("the token has expired") from error
        except jwt.PyJWTError as error:
            raise _unauthorized("the token is not valid here") from error
        except (OSError, ValueError, KeyError) as error:
            raise Refusal(503, "unauthorized", "the keys cannot be had at present", code="keys_unavailable") from error
        subject = str(claims["sub"])
        if not (0 < len(subject) <= _LONGEST_SUBJECT_CHARACTERS and subject.isprintable()):
            raise _unauthorized("the token's subject cannot be used")  # it goes into logs and usage records
        return subject


def _unauthorized(message: str) -> Refusal:
    return Refusal(401, "unauthorized", message, code="invalid_token")
