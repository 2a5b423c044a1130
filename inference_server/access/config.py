"""The access file: which tokens are taken, and at what rate. Mounted from a Secret."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inference_server.access.rate import Rate, RateLimiter
from inference_server.access.tokens import Keys, KeySet, PublicKey, SecretKey, TokenRules, Verifier
from inference_server.errors import InvalidOption

_KEY_SET_BYTES = 1 << 20
_KEY_SET_TIMEOUT_S = 5.0


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Tokens(_Closed):
    audience: str
    issuer: str | None = None
    leeway_s: Annotated[float, Field(ge=0, le=300)] = 10.0
    secret_file: Path | None = None
    public_key_file: Path | None = None
    jwks_file: Path | None = None
    jwks_url: Annotated[str | None, Field(pattern=r"^https?://")] = None

    @model_validator(mode="after")
    def _one_kind_of_key(self) -> _Tokens:
        given = [self.secret_file, self.public_key_file, self.jwks_file, self.jwks_url]
        if sum(value is not None for value in given) != 1:
            raise ValueError("exactly one of secret_file, public_key_file, jwks_file, jwks_url is needed")
        return self


class _RateLimit(_Closed):
    rps: Annotated[float, Field(gt=0)]
    burst: Annotated[int, Field(ge=1)]


class _Access(_Closed):
    tokens: _Tokens
    rate_limit: _RateLimit | None = None


def load_access(path: Path) -> tuple[Verifier, RateLimiter | None]:
    """Read the access file; the files it names are relative to its folder.

    Raises:
        InvalidOption: a file that cannot be read, an unknown key, a wrong value.
    """
    try:
        access = _Access.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        verifier = Verifier(_keys(access.tokens, path.parent), _rules(access.tokens))
    except ValidationError as error:
        problems = (f"{path}: {'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
        raise InvalidOption(*problems) from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InvalidOption(f"{path}: {error}") from error
    limit = access.rate_limit
    return verifier, RateLimiter(Rate(limit.rps, limit.burst)) if limit else None


def _rules(tokens: _Tokens) -> TokenRules:
    return TokenRules(tokens.audience, tokens.issuer, tokens.leeway_s)


def _keys(tokens: _Tokens, folder: Path) -> Keys:
    if tokens.secret_file is not None:
        return SecretKey((folder / tokens.secret_file).read_bytes().strip())
    if tokens.public_key_file is not None:
        return PublicKey((folder / tokens.public_key_file).read_bytes())
    if tokens.jwks_file is not None:
        file = folder / tokens.jwks_file
        return KeySet(lambda: file.read_text(encoding="utf-8"))
    return KeySet(_fetcher(tokens.jwks_url or ""))


def _fetcher(url: str) -> Callable[[], str]:
    """The operator names this URL, not a client: no allow-list."""

    def fetch() -> str:
        with urllib.request.urlopen(url, timeout=_KEY_SET_TIMEOUT_S) as answer:  # noqa: S310 http(s), checked above
            return str(answer.read(_KEY_SET_BYTES).decode())

    return fetch
