"""Objects in a real S3 server (versitygw)."""

from __future__ import annotations

import pytest

from inference_server.storage.objects import TooLarge, open_store

pytestmark = pytest.mark.shared


def test_what_is_put_can_be_got(s3_bucket) -> None:
    store = open_store(s3_bucket)
    assert store.get("results/a.json", 10) is None
    assert not store.exists("results/a.json")
    store.put("results/a.json", b"first", "application/json")
    store.put("results/a.json", b"second", "application/json")
    assert store.get("results/a.json", 10) == b"second"
    assert store.exists("results/a.json")
    with pytest.raises(TooLarge):
        store.get("results/a.json", 5)


def test_an_empty_object_and_one_of_several_parts(s3_bucket) -> None:
    store = open_store(s3_bucket)
    large = bytes(range(256)) * (24 << 10)
    store.put("empty", b"", "audio/wav")
    store.put("large", large, "audio/wav")
    assert store.get("empty", 10) == b""
    assert store.get("large", len(large)) == large


def test_wrong_credentials_and_a_missing_bucket_are_errors_not_absent_objects(s3_bucket, monkeypatch) -> None:
    with pytest.raises(OSError, match="NoSuchBucket"):
        open_store(s3_bucket.replace("/results?", "/nothing?")).get("a", 10)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(OSError, match="S3"):
        open_store(s3_bucket).exists("a")


def test_a_server_that_is_gone_is_an_error_in_bounded_time(monkeypatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(OSError, match="S3"):
        open_store("s3://127.0.0.1:9/results?tls=false").put("a", b"", "audio/wav")
