"""Forms as clients send them: in pieces, with odd names, and with more than is taken."""

from __future__ import annotations

from itertools import pairwise

import pytest
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from inference_server.api.forms import File, Upload, read_form
from inference_server.errors import Refusal


class Form(BaseModel):
    file: Upload
    word: str = "none"
    tags: list[str] = []


def part(disposition: str, data: bytes) -> bytes:
    return b"--b\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (disposition.encode(), data)


END = b"--b--\r\n"
SOUND = bytes(range(256)) + b"\r\n--a\r--b--\r\r\n--"
WHOLE = part('name="word"', b"one") + part('name="file"; filename="a.wav"', SOUND) + part('name="tags"', b"x") + END


def request(*chunks: bytes, content_type: str = "multipart/form-data; boundary=b") -> Request:
    left = list(chunks)

    async def receive() -> dict:
        return {"type": "http.request", "body": left.pop(0) if left else b"", "more_body": bool(left)}

    headers = [(b"content-type", content_type.encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def read(body: bytes, max_files: int = 1) -> Form:
    return await read_form(request(body), Form, lists={"tags"}, max_files=max_files)


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6).map(sorted))
async def test_a_form_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    edges = [0, *cuts, len(WHOLE)]
    chunks = [WHOLE[a:b] for a, b in pairwise(edges)]
    form = await read_form(request(*chunks), Form, lists={"tags"})
    assert form == Form(file=File("a.wav", SOUND), word="one", tags=["x"])


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        pytest.param('name="file"; filename="a.wav"', "a.wav", id="browsers"),
        pytest.param("name=file; filename=a.wav; filename*=utf-8''a.wav", "a.wav", id=".NET"),
        pytest.param('name="file"; filename="录音.wav"', "录音.wav", id="not ASCII"),
        pytest.param(
            "name=\"file\"; filename*=utf-8''%E5%BD%95.wav", "", id="not ASCII, in the form of RFC 5987 alone"
        ),
        pytest.param('name="file"; filename=""', "", id="without a name"),
    ],
)
async def test_files_are_told_by_their_name(disposition: str, name: str) -> None:
    assert (await read(part(disposition, b"sound") + END)).file == File(name, b"sound")


async def test_of_a_field_that_is_no_list_the_last_counts_and_empty_ones_are_absent() -> None:
    file = part('name="file"; filename="a"', b"")
    fields = [part(f'name="{name}"', value) for name in ("word", "tags") for value in (b"one", b"two", b"")]
    form = await read(file + b"".join(fields) + END)
    assert (form.word, form.tags) == ("two", ["one", "two"])


FILE = part('name="file"; filename="a"', b"sound")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(FILE, id="without an end"),
        pytest.param(FILE[:-20] + END, id="cut in a head"),
        pytest.param(b"rubbish" + FILE + END, id="rubbish before"),
        pytest.param(FILE * 3 + END, id="three files of two"),
        pytest.param(FILE + part('name="word"', b"x") * 66 + END, id="67 parts"),
        pytest.param(FILE + part('name="word"', b"x" * 70_000) + END, id="a field of 70 kB"),
        pytest.param(FILE + part(f'name="{"x" * 5000}"', b"x") + END, id="a head of 5 kB"),
        pytest.param(
            FILE + part('name="a"\r\nX-A: 1', b"").replace(b"X-A: 1", b"X-A: 1\r\n" * 9) + END, id="ten heads"
        ),
    ],
)
async def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        await read(body, max_files=2)
    assert refused.value.status == 400


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "multipart/form-data; boundary="])
async def test_other_bodies_are_refused_unread(content_type: str) -> None:
    with pytest.raises(Refusal):
        await read_form(request(WHOLE, content_type=content_type), Form)


@pytest.mark.parametrize("content_type", ["", "application/x-www-form-urlencoded"])
async def test_where_no_file_can_be_the_file_is_missing(content_type: str) -> None:
    with pytest.raises(RequestValidationError) as invalid:
        await read_form(request(b"file=a.wav", content_type=content_type), Form)
    assert invalid.value.errors()[0]["loc"] == ("body", "file")


async def test_a_field_in_place_of_a_file_is_named() -> None:
    with pytest.raises(RequestValidationError) as invalid:
        await read(part('name="file"', b"text") + END)
    assert invalid.value.errors()[0]["loc"] == ("body", "file")
