"""Whose token is taken, and how often a subject may ask."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from inference_server.access.config import load_access
from inference_server.access.rate import Rate, RateLimiter
from inference_server.access.tokens import KeySet, PublicKey, SecretKey, TokenRules, Verifier
from inference_server.api.app import make_app
from inference_server.engines.sleeper import Sleeper, SleeperSettings
from inference_server.errors import InvalidOption, Refusal
from inference_server.serving.lifecycle import Lifecycle
from inference_server.serving.service import Service
from inference_server.telemetry.metrics import Metrics

SECRET = b"a secret of sixty-four bytes or more, so that HS512 takes it as well"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
RULES = TokenRules(audience="speech", issuer="https://issuer", leeway_s=0)


def claims(**changes) -> dict:
    made = {"sub": "alice", "aud": "speech", "iss": "https://issuer", "exp": time.time() + 86_400, **changes}
    return {name: value for name, value in made.items() if value is not None}


def unsigned(header: dict, payload: dict, signature: bytes = b"") -> str:
    parts = [json.dumps(part).encode() for part in (header, payload)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, signature))


def hmac_with_the_public_key() -> str:
    """PyJWT refuses to make this forgery, so it is made by hand."""
    body = unsigned({"alg": "HS256", "typ": "JWT"}, claims()).rstrip(".")
    signature = hmac.new(PEM, body.encode(), hashlib.sha256).digest()
    return f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def subject(verifier: Verifier, token: str) -> str:
    return verifier.subject({b"authorization": f"Bearer {token}".encode()})


def jwks(**keys) -> str:
    entries = [{**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(k.public_key())), "kid": n} for n, k in keys.items()]
    return json.dumps({"keys": entries})


HS256 = Verifier(SecretKey(SECRET), RULES)
RS256 = Verifier(PublicKey(PEM), RULES)


@pytest.mark.parametrize(
    ("verifier", "token"),
    [
        pytest.param(HS256, jwt.encode(claims(), SECRET), id="HS256"),
        pytest.param(RS256, jwt.encode(claims(), RSA, "RS256"), id="RS256"),
        pytest.param(HS256, jwt.encode(claims(aud=["x", "speech"]), SECRET), id="one of several audiences"),
    ],
)
def test_a_valid_token_names_its_subject(verifier: Verifier, token: str) -> None:
    assert subject(verifier, token) == "alice"


@pytest.mark.parametrize(
    ("verifier", "token"),
    [
        pytest.param(HS256, jwt.encode(claims(), b"another secret of thirty-two bytes"), id="another secret"),
        pytest.param(HS256, jwt.encode(claims(exp=time.time() - 1), SECRET), id="expired"),
        pytest.param(HS256, jwt.encode(claims(exp=None), SECRET), id="without expiry"),
        pytest.param(HS256, jwt.encode(claims(nbf=time.time() + 3600), SECRET), id="not valid yet"),
        pytest.param(HS256, jwt.encode(claims(aud="other"), SECRET), id="another audience"),
        pytest.param(HS256, jwt.encode(claims(aud=None), SECRET), id="without audience"),
        pytest.param(HS256, jwt.encode(claims(iss="https://evil"), SECRET), id="another issuer"),
        pytest.param(HS256, jwt.encode(claims(sub=None), SECRET), id="without subject"),
        pytest.param(HS256, jwt.encode(claims(sub=""), SECRET), id="empty subject"),
        pytest.param(HS256, jwt.encode(claims(sub="a\nb"), SECRET), id="subject of two lines"),
        pytest.param(HS256, jwt.encode(claims(sub="\ud800"), SECRET), id="subject that is no text"),
        pytest.param(HS256, jwt.encode(claims(sub="x" * 256), SECRET), id="subject of 256 characters"),
        pytest.param(HS256, jwt.encode(claims(exp=float("inf")), SECRET), id="expires never"),
        pytest.param(HS256, f"{'W1tb' * 2000}.e30.x", id="a header nested 6000 deep"),
        pytest.param(HS256, jwt.encode(claims(), SECRET, "HS512"), id="another algorithm"),
        pytest.param(HS256, unsigned({"alg": "none"}, claims()), id="alg none"),
        pytest.param(RS256, unsigned({"alg": "none"}, claims()), id="alg none against RS256"),
        pytest.param(RS256, unsigned({"alg": "None", "typ": "JWT"}, claims(), b"x"), id="alg None"),
        pytest.param(RS256, hmac_with_the_public_key(), id="key confusion: HMAC with the public key"),
        pytest.param(RS256, jwt.encode(claims(), OTHER_RSA, "RS256"), id="another key"),
        pytest.param(RS256, jwt.encode(claims(), RSA, "RS256")[:-4] + "AAAA", id="a changed signature"),
        pytest.param(HS256, "", id="empty"),
        pytest.param(HS256, "a.b.c", id="rubbish"),
        pytest.param(HS256, "x" * 10_000, id="too long"),
    ],
)
def test_every_other_token_is_refused(verifier: Verifier, token: str) -> None:
    with pytest.raises(Refusal) as refused:
        subject(verifier, token)
    assert (refused.value.status, refused.value.reason) == (401, "unauthorized")


@given(st.binary(max_size=200))
def test_any_header_is_a_401(header: bytes) -> None:
    with pytest.raises(Refusal):
        HS256.subject({b"authorization": header})


@pytest.mark.parametrize(
    "secret", [pytest.param(b"short", id="too short"), pytest.param(PEM, id="a public key taken for a secret")]
)
def test_a_weak_secret_is_refused(secret: bytes) -> None:
    with pytest.raises(ValueError, match="secret"):
        SecretKey(secret)


def test_a_key_set_is_fetched_when_a_new_key_appears_and_not_for_every_forgery() -> None:
    now, served, fetches = [0.0], [jwks(a=RSA)], []

    def fetch() -> str:
        fetches.append(now[0])
        return served[0]

    verifier = Verifier(KeySet(fetch, lambda: now[0]), RULES)

    def token(key, key_id) -> str:
        return jwt.encode(claims(), key, "RS256", headers={"kid": key_id})

    assert subject(verifier, token(RSA, "a")) == "alice"
    served[0] = jwks(b=OTHER_RSA)
    for forged in range(20):
        with pytest.raises(Refusal):
            subject(verifier, token(OTHER_RSA, f"forged {forged}"))
    assert fetches == [0.0]
    now[0] = 31.0
    assert subject(verifier, token(OTHER_RSA, "b")) == "alice"
    with pytest.raises(Refusal):
        subject(verifier, token(RSA, "a"))  # rotated away
    assert fetches == [0.0, 31.0]


def test_keys_for_other_purposes_are_not_taken() -> None:
    entry = json.loads(jwks(a=RSA))["keys"][0]
    for change in ({"use": "enc"}, {"alg": "RS512"}, {"kty": "oct", "k": "AAAA"}):
        verifier = Verifier(KeySet(lambda change=change: json.dumps({"keys": [{**entry, **change}]})), RULES)
        with pytest.raises(Refusal):
            subject(verifier, jwt.encode(claims(), RSA, "RS256", headers={"kid": "a"}))


def test_a_key_set_that_cannot_be_had_is_a_503() -> None:
    def fetch() -> str:
        raise OSError("no route")

    with pytest.raises(Refusal) as refused:
        subject(Verifier(KeySet(fetch), RULES), jwt.encode(claims(), RSA, "RS256", headers={"kid": "a"}))
    assert refused.value.status == 503


def test_a_bucket_lets_a_burst_pass_and_then_the_rate() -> None:
    now = [0.0]
    limiter = RateLimiter(Rate(rps=2.0, burst=3), lambda: now[0])
    for _ in range(3):
        limiter.take("alice")
    with pytest.raises(Refusal) as refused:
        limiter.take("alice")
    assert (refused.value.status, refused.value.retry_after_s) == (429, 1)
    limiter.take("bob")
    now[0] = 0.5
    limiter.take("alice")


@given(st.lists(st.floats(0, 2), min_size=1, max_size=60), st.floats(0.1, 5), st.integers(1, 5))
def test_no_sequence_gets_more_than_burst_plus_rate_times_time(gaps_s: list[float], rps: float, burst: int) -> None:
    now, allowed = [0.0], 0
    limiter = RateLimiter(Rate(rps, burst), lambda: now[0])
    for gap_s in gaps_s:
        now[0] += gap_s
        try:
            limiter.take("alice")
        except Refusal:
            continue
        allowed += 1
    assert allowed <= burst + rps * now[0] + 1e-6


def test_silent_subjects_are_forgotten() -> None:
    limiter = RateLimiter(Rate(1.0, 1), lambda: 0.0, most_subjects=2)
    for name in ("a", "b", "c", "a"):
        limiter.take(name)
    with pytest.raises(Refusal):
        limiter.take("c")


@pytest.fixture
def access_file(tmp_path):
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    file = tmp_path / "access.yaml"
    file.write_text("tokens: {audience: speech, secret_file: secret}\nrate_limit: {rps: 0.001, burst: 2}\n")
    return file


async def test_the_server_answers_only_those_it_knows(access_file) -> None:
    service = Service(Sleeper(SleeperSettings(service_s=0.001)), Metrics("tts", []), Lifecycle(0.0))
    service.load()
    transport = httpx.ASGITransport(make_app(service, load_access(access_file)))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        for path in ("/healthz", "/readyz", "/metrics", "/"):
            assert (await http.get(path)).status_code == 200
        nobody = await http.post("/v1/sleep")
        bearer = {"authorization": f"Bearer {jwt.encode(claims(), SECRET)}"}
        answers = [await http.post("/v1/sleep", headers=bearer) for _ in range(3)]
    assert nobody.status_code == 401
    assert nobody.headers["www-authenticate"] == "Bearer"
    assert nobody.json()["error"]["type"] == "authentication_error"
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    for reason in ("unauthorized", "rate_limited"):
        labels = {"service": "tts", "reason": reason}
        assert service.metrics.registry.get_sample_value("speech_requests_rejected_total", labels) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("tokens: {audience: a}", "exactly one of", id="no key"),
        pytest.param("tokens: {audience: a, secret_file: s, jwks_file: j}", "exactly one of", id="two keys"),
        pytest.param("tokens: {secret_file: s}", "tokens.audience", id="no audience"),
        pytest.param("tokens: {audience: a, secret_file: missing}", "missing", id="no such file"),
        pytest.param("tokens: {audience: a, jwks_url: 'file:///etc/passwd'}", "jwks_url", id="a URL of another kind"),
        pytest.param("tokns: {}", "tokns", id="unknown key"),
        pytest.param("rate_limit: {rps: -1, burst: 0}", "rate_limit.rps", id="impossible rate"),
        pytest.param("a: [", "access.yaml", id="no YAML"),
    ],
)
def test_a_bad_access_file_is_named_with_what_is_wrong(tmp_path, text: str, said: str) -> None:
    file = tmp_path / "access.yaml"
    file.write_text(text)
    with pytest.raises(InvalidOption, match=said):
        load_access(file)
