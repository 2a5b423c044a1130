"""Reading bytes: compressed or not, whole lines, bounded."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscaler.model import InvalidInput
from simulations.traffic import source


@given(
    lines=st.lists(st.text(alphabet="ab,1", max_size=30), max_size=40),
    ends=st.booleans(),
    zipped=st.booleans(),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_blocks_give_every_line_once_with_its_number(tmp_path: Path, monkeypatch, lines, ends, zipped):
    monkeypatch.setattr(source, "BLOCK_BYTES", 64)
    text = "\n".join(lines) + ("\n" if ends else "")
    path = tmp_path / "t"
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())

    blocks = list(source.blocks(path))

    assert b"".join(block.data for block in blocks).decode() == text
    numbered = [
        (block.first_line + offset, line)
        for block in blocks
        for offset, line in enumerate(block.data.decode().splitlines())
    ]
    assert [number for number, _line in numbered] == list(range(1, len(numbered) + 1))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"nowhere: no such file"):
        source.head(tmp_path / "nowhere")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InvalidInput, match="not a file"):
        source.head(tmp_path)


def _zstd(data: bytes) -> bytes:
    compressed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return compressed


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "zstd": _zstd,
}
TEXT = b"timestamp_s,count\n" + b"".join(b"%d,%d\n" % (60 * number, number % 7) for number in range(200))


@pytest.mark.parametrize("name", COMPRESS)
def test_compressed_files_are_told_by_their_first_bytes(tmp_path, name):
    path = tmp_path / "t"
    path.write_bytes(COMPRESS[name](TEXT))
    assert source.head(path) == TEXT


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("kept", [lambda size: size // 2, lambda size: size - 3], ids=["in the data", "at the end"])
def test_damaged_files_are_refused(tmp_path, name, kept):
    path = tmp_path / "t"
    data = COMPRESS[name](TEXT)
    path.write_bytes(data[: kept(len(data))])
    with pytest.raises(InvalidInput, match=rf"t: damaged {name} data"):
        list(source.blocks(path))


def test_gzip_that_ends_in_its_header_is_refused(tmp_path):
    path = tmp_path / "t.gz"
    path.write_bytes(gzip.compress(TEXT)[:3])
    with pytest.raises(InvalidInput, match=r"t\.gz: damaged gzip data"):
        list(source.blocks(path))


def test_gzip_members_are_read_one_after_another(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(gzip.compress(b"a\n") + gzip.compress(b"b\n"))
    assert source.head(path) == b"a\nb\n"


@pytest.mark.parametrize("name", COMPRESS)
def test_a_bomb_is_refused_before_it_is_expanded(tmp_path, name):
    path = tmp_path / "bomb"
    path.write_bytes(COMPRESS[name](b"0,0\n" * (4 << 20)))
    with pytest.raises(InvalidInput, match="expands to more than 200 times its size"):
        for _block in source.blocks(path):
            pass


@pytest.mark.parametrize("write", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_byte_order_mark_is_left_out(tmp_path, write):
    path = tmp_path / "t"
    path.write_bytes(write(b"\xef\xbb\xbf" + TEXT))
    assert source.head(path) == TEXT


def test_a_line_without_end_is_refused(tmp_path):
    path = tmp_path / "line"
    path.write_bytes(b"x" * (source.BLOCK_BYTES + 1))
    with pytest.raises(InvalidInput, match="line:1: a line longer than 4 MiB"):
        list(source.blocks(path))


def test_a_file_read_whole_is_bounded(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(b"x" * 2048)
    assert len(source.whole(path, 2048)) == 2048
    with pytest.raises(InvalidInput, match="larger than"):
        source.whole(path, 2047)
