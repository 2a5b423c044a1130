"""What the Prometheus client makes of answers: good, partial, refused, broken, slow, endless."""

import base64
import ssl
import time
from itertools import repeat
from urllib.parse import parse_qs, urlsplit

import pytest
from rig.certificates import Authority
from rig.web import Reply, reply, website

from autoscaler.model import InvalidInput, Unreachable
from autoscaler.prometheus.client import MAX_POINTS, Access, Prometheus


def success(*results, kind="matrix", **more):
    return {"status": "success", "data": {"resultType": kind, "result": list(results)}, **more}


UP = {"metric": {"__name__": "up", "pod": "a"}, "values": [[10, "1"], [15.5, "NaN"]]}
EMPTY = reply(success())


def ask(answer, query="up[30s]", **access):
    with website(answer) as site:
        return Prometheus(Access(site.url, **access)).query(query), site.asked


def trickle(piece, pause_s):
    for each in repeat(piece):
        time.sleep(pause_s)  # the fault itself: a server that drips
        yield each


def test_samples_keep_their_own_times():
    answer, _ = ask(lambda _: reply(success(UP)))
    [series] = answer.series
    assert series.labels == {"__name__": "up", "pod": "a"}
    assert [at_s for at_s, _ in series.samples] == [10.0, 15.5]
    assert answer.warnings == ()


def test_what_many_series_share_is_one_object_for_all():
    others = [{**UP, "metric": {"__name__": name, "pod": "a"}} for name in ("up", "down", "up")]
    answer, _ = ask(lambda _: reply(success(*others)))
    pods = {id(series.labels["pod"]) for series in answer.series}
    times = {id(at_s) for series in answer.series for at_s, _ in series.samples}
    assert (len(pods), len(times)) == (1, 2)


def test_warnings_of_a_partial_answer_are_kept():
    answer, _ = ask(lambda _: reply(success(UP, warnings=["a store is down"])))
    assert answer.warnings == ("a store is down",)
    assert len(answer.series) == 1


LOGIN = Reply(b"<html>log in</html>", headers={"Content-Type": "text/html"})


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        pytest.param(LOGIN, "HTTP 200 with text/html instead of JSON", id="a login page"),
        pytest.param(reply({"status": "error", "error": "too busy"}, 503), "HTTP 503 too busy", id="503"),
        pytest.param(Reply(b"slow down", 429), "HTTP 429", id="429"),
        pytest.param(Reply(b"", 401), "HTTP 401", id="not let in"),
        pytest.param(Reply(b"", 302, {"Location": "/login"}), "HTTP 302", id="a redirect is not followed"),
        pytest.param(reply({"status": "error", "error": "odd"}), "without success odd", id="200 without success"),
        pytest.param(reply({"status": "success"}), "success without a result", id="no data"),
        pytest.param(reply([1]), "no object", id="JSON that is no object"),
        pytest.param(reply(success({"values": [[1, "1"]]})), "malformed series", id="a series without labels"),
        pytest.param(reply(success({"metric": {}, "values": [[1, "x"]]})), "malformed series", id="no number"),
        pytest.param(reply(success({"metric": {"pod": 1}, "values": []})), "malformed series", id="a label no text"),
        pytest.param(reply(success({"metric": {}, "values": [[1]]})), "malformed series", id="no value"),
        pytest.param(Reply(b'{"status": "succ'), "instead of JSON", id="cut off"),
        pytest.param(Reply(b'{"data": ' + b"[" * 100_000), "instead of JSON", id="without a bottom"),
    ],
)
def test_an_unusable_answer_says_what_came(sent, says):
    with pytest.raises(Unreachable, match=says):
        ask(lambda _: sent)


@pytest.mark.parametrize("status", [400, 422])
def test_a_refused_query_is_an_error_of_the_configuration(status):
    with pytest.raises(InvalidInput, match=r"refused the query `up\[30s\]`: unclosed parenthesis"):
        ask(lambda _: reply({"status": "error", "error": "unclosed parenthesis"}, status))


def test_a_query_that_selects_no_series_is_refused():
    with pytest.raises(InvalidInput, match="gives a scalar, not series"):
        ask(lambda _: reply(success(1, "2", kind="scalar")))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param(lambda: trickle(b" ", 0.05), "did not end in time", id="drips without end"),
        pytest.param(lambda: trickle(b"", 0.05), "no answer in time|timed out", id="sends nothing"),
        pytest.param(lambda: repeat(b" " * 65536), "more than 1000000 bytes", id="never ends"),
    ],
)
def test_no_answer_holds_the_caller_longer_than_its_time(body, says):
    began_s = time.monotonic()
    with pytest.raises(Unreachable, match=says):
        ask(lambda _: Reply(body()), timeout_s=0.4, max_answer_bytes=1_000_000)
    assert time.monotonic() - began_s < 1.5


def test_a_refused_connection_is_unreachable_and_asked_once():
    with website(lambda _: EMPTY) as site:
        client = Prometheus(Access(site.url))
    with pytest.raises(Unreachable, match=r"no connection: .*refused"):
        client.query("up")


def test_nothing_is_retried():
    with website(lambda _: Reply(b"", 503)) as site:
        with pytest.raises(Unreachable):
            Prometheus(Access(site.url)).query("up")
        assert len(site.asked) == 1


def test_a_rotated_token_is_used_at_once(tmp_path):
    token = tmp_path / "token"
    with website(lambda _: EMPTY) as site:
        client = Prometheus(Access(site.url, token_file=token))
        for text in ("first\n", "second\n"):
            token.write_text(text)
            client.query("up")
        token.unlink()
        with pytest.raises(Unreachable, match="token"):
            client.query("up")
    assert [asked.headers["Authorization"] for asked in site.asked] == ["Bearer first", "Bearer second"]


def test_basic_authentication_and_tenant_headers(tmp_path):
    (tmp_path / "password").write_text("pässword\n")
    _, [asked] = ask(
        lambda _: EMPTY,
        username="me",
        password_file=tmp_path / "password",
        headers=(("X-Scope-OrgID", "speech"),),
    )
    kind, word = asked.headers["Authorization"].split()
    assert (kind, base64.b64decode(word).decode()) == ("Basic", "me:pässword")
    assert asked.headers["X-Scope-OrgID"] == "speech"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def me(authority):
    return authority.sign("me")


def mutual(authority):
    """A server that shows a certificate of this authority and wants one of it."""
    server = authority.sign("server", hosts=("127.0.0.1",))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.certificate)
    context.load_cert_chain(server.certificate, server.key)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_both_sides_show_certificates_of_the_given_authority(authority, me):
    access = {"ca_file": authority.certificate, "client_cert_file": me.certificate, "client_key_file": me.key}
    with website(lambda _: EMPTY, mutual(authority)) as site:
        assert Prometheus(Access(site.url, **access)).query("up").series == ()


@pytest.mark.parametrize("lacks", ["ca_file", "client_cert_file"])
def test_without_either_certificate_there_is_no_answer(authority, me, lacks):
    access = {"ca_file": authority.certificate, "client_cert_file": me.certificate, "client_key_file": me.key}
    del access[lacks]
    if lacks == "client_cert_file":
        del access["client_key_file"]
    with website(lambda _: EMPTY, mutual(authority)) as site:
        with pytest.raises(Unreachable, match=r"TLS|no connection"):
            Prometheus(Access(site.url, **access)).query("up")
        assert site.asked == []


def points(asked, step_s):
    query = {name: values[0] for name, values in parse_qs(urlsplit(asked.path).query).items()}
    start, end = float(query["start"]), float(query["end"])
    assert float(query["step"]) == step_s
    return [round(start + k * step_s, 3) for k in range(round((end - start) / step_s) + 1)]


@pytest.mark.parametrize(
    ("start_s", "end_s", "step_s", "sizes"),
    [
        pytest.param(1000.0, 1000.0, 5.0, [1], id="one point"),
        pytest.param(1000.25, 1001.5, 0.5, [3], id="fractions of a second are kept"),
        pytest.param(0.0, 9999.0, 1.0, [MAX_POINTS], id="exactly one chunk"),
        pytest.param(0.0, 10000.0, 1.0, [MAX_POINTS, 1], id="one point more"),
        pytest.param(0.0, 25000.0, 1.0, [MAX_POINTS, MAX_POINTS, 5001], id="three chunks"),
    ],
)
def test_a_range_is_asked_in_chunks_without_gap_or_repetition(start_s, end_s, step_s, sizes):
    with website(lambda _: reply(success(UP))) as site:
        answers = list(Prometheus(Access(site.url)).query_range("up", start_s, end_s, step_s))
    chunks = [points(asked, step_s) for asked in site.asked]
    assert [len(chunk) for chunk in chunks] == sizes
    assert len(answers) == len(sizes)
    together = [at_s for chunk in chunks for at_s in chunk]
    assert together == [round(start_s + k * step_s, 3) for k in range(sum(sizes))]


@pytest.mark.parametrize(("start_s", "end_s", "step_s"), [(0, 10, 0), (0, 10, -1), (10, 0, 1), (0, float("nan"), 1)])
def test_a_range_without_points_is_a_mistake(start_s, end_s, step_s):
    with pytest.raises(ValueError, match="no points"):
        next(Prometheus(Access("http://localhost")).query_range("up", start_s, end_s, step_s))


@pytest.mark.parametrize(
    ("access", "says"),
    [
        pytest.param({"url": "prometheus:9090"}, "http://", id="no scheme"),
        pytest.param({"url": "http://me:secret@host"}, "holds credentials", id="password in the url"),
        pytest.param({"url": "http://h", "username": "me"}, "belong together", id="user without password"),
        pytest.param({"url": "http://h", "username": "me", "token_file": "t"}, "not both", id="two ways in"),
        pytest.param({"url": "http://h", "client_key_file": "k"}, "certificate", id="key without certificate"),
    ],
)
def test_access_that_cannot_work_is_refused(access, says):
    with pytest.raises(InvalidInput, match=says) as refused:
        Access(**access)
    assert "secret" not in str(refused.value)
