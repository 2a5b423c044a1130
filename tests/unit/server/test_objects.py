"""Objects in a folder; keys that stay inside."""

from __future__ import annotations

import errno

import pytest

from inference_server.errors import InvalidOption
from inference_server.storage.objects import FolderStore, S3Store, TooLarge, check_key, open_store


def test_what_is_put_can_be_got(tmp_path) -> None:
    store = FolderStore(tmp_path)
    assert store.get("results/a.json", 10) is None
    assert not store.exists("results/a.json")
    store.put("results/a.json", b"first", "application/json")
    store.put("results/a.json", b"second", "application/json")
    assert store.get("results/a.json", 10) == b"second"
    assert store.exists("results/a.json")
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["a.json"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path, monkeypatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        FolderStore(tmp_path).put("a", b"12345", "audio/wav")
    assert list(tmp_path.iterdir()) == []


def test_a_longer_object_than_asked_for_is_refused(tmp_path) -> None:
    store = FolderStore(tmp_path)
    store.put("a", b"12345", "audio/wav")
    with pytest.raises(TooLarge):
        store.get("a", 4)


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../a", "a/../../b", "a//b", ".", "a/.", "a\n", "x" * 513])
def test_a_key_never_leaves_the_store(tmp_path, key: str) -> None:
    with pytest.raises(ValueError, match="no object key"):
        check_key(key)
    with pytest.raises(ValueError, match="no object key"):
        FolderStore(tmp_path).put(key, b"", "audio/wav")


def test_stores_are_named_by_url(tmp_path) -> None:
    assert isinstance(open_store(f"file://{tmp_path}"), FolderStore)
    assert isinstance(open_store("s3://minio:9000/results?tls=false&region=eu-1"), S3Store)


@pytest.mark.parametrize(
    "url", ["results", "file://results", "s3://minio", "s3://minio/a/b", "s3://key:secret@minio/a", "s3://m/a?x=1"]
)
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidOption, match="store"):
        open_store(url)
