"""Reading bytes: gzip or not, whole lines, bounded."""

import gzip
from pathlib import Path

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


@pytest.mark.parametrize("cut", [3, 20, -4], ids=["in the header", "in the data", "in the checksum"])
def test_damaged_gzip_is_refused(tmp_path, cut):
    path = tmp_path / "t.gz"
    path.write_bytes(gzip.compress(b"timestamp_s,count\n0,1\n" * 50)[:cut])
    with pytest.raises(InvalidInput, match=r"t\.gz: damaged gzip data"):
        list(source.blocks(path))


def test_gzip_members_are_read_one_after_another(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(gzip.compress(b"a\n") + gzip.compress(b"b\n"))
    assert source.head(path) == b"a\nb\n"


def test_a_gzip_bomb_is_refused_before_it_is_expanded(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"0,0\n" * (16 << 20)))
    with pytest.raises(InvalidInput, match="expands to more than 200 times its size"):
        for _block in source.blocks(path):
            pass


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
