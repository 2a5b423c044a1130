"""Objects by key, in an S3 bucket or a local folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from inference_server.errors import InvalidOption


class TooLarge(ValueError):
    """An object is longer than its reader takes."""


class ObjectStore(Protocol):
    """Blocking; safe to use from several threads."""

    def get(self, key: str, max_bytes: int) -> bytes | None:
        """The object; None where there is none.

        Raises:
            TooLarge: longer than `max_bytes`.
            OSError: the store cannot be reached.
        """

    def put(self, key: str, data: bytes, media_type: str) -> None:
        """Store an object, whole or not at all; an older one with the key is replaced.

        Raises:
            OSError: the store cannot be reached.
        """

    def exists(self, key: str) -> bool:
        """Whether there is such an object.

        Raises:
            OSError: the store cannot be reached.
        """


def check_key(key: str) -> str:
    """A key that names an object inside the store.

    Raises:
        ValueError: empty, absolute, too long, or with a part that leaves the store.
    """
    parts = key.split("/")
    if not key or len(key) > 512 or any(part in {"", ".", ".."} for part in parts) or not key.isprintable():
        raise ValueError(f"{key[:80]!r} is no object key")
    return key


class FolderStore:
    """A folder: for one machine, and for tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str, max_bytes: int) -> bytes | None:
        """Read a file."""
        try:
            with (self._folder / check_key(key)).open("rb") as file:
                data = file.read(max_bytes + 1)
        except FileNotFoundError:
            return None
        return _bounded(data, max_bytes)

    def put(self, key: str, data: bytes, media_type: str) -> None:  # noqa: ARG002 files have no media type
        """Write a file: complete or not at all, also across a loss of power."""
        target = self._folder / check_key(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as file:
            written = Path(file.name)
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                written.replace(target)
            except BaseException:
                written.unlink()  # a disk that is full would be filled by every attempt
                raise

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        return (self._folder / check_key(key)).is_file()


class S3Store:
    """A bucket of any S3 server.

    Args:
        client: a `minio.Minio`.
        bucket: must exist.
    """

    def __init__(self, client: Any, bucket: str) -> None:  # noqa: ANN401 minio has no types
        self._client = client
        self._bucket = bucket

    def get(self, key: str, max_bytes: int) -> bytes | None:
        """Read an object."""
        from minio.error import S3Error

        try:
            answer = self._call(self._client.get_object, self._bucket, check_key(key))
        except S3Error as error:
            if error.code in {"NoSuchKey", "NoSuchObject"}:
                return None
            raise OSError(f"S3: {error.code}") from error
        try:
            return _bounded(self._call(answer.read, max_bytes + 1), max_bytes)
        finally:
            answer.close()
            answer.release_conn()

    def put(self, key: str, data: bytes, media_type: str) -> None:
        """Write an object; S3 shows it only when it is complete."""
        import io

        from minio.error import S3Error

        try:
            body = io.BytesIO(data)
            self._call(self._client.put_object, self._bucket, check_key(key), body, len(data), content_type=media_type)
        except S3Error as error:
            raise OSError(f"S3: {error.code}") from error

    def exists(self, key: str) -> bool:
        """Ask for the object's head."""
        from minio.error import S3Error

        try:
            self._call(self._client.stat_object, self._bucket, check_key(key))
        except S3Error as error:
            if error.code in {"NoSuchKey", "NoSuchObject"}:
                return False
            raise OSError(f"S3: {error.code}") from error
        return True

    @staticmethod
    def _call(method: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        import urllib3

        try:
            return method(*arguments, **options)
        except urllib3.exceptions.HTTPError as error:
            raise OSError(f"S3: {error}") from error


def _bounded(data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise TooLarge(f"the object is longer than {max_bytes} bytes")
    return data


def open_store(url: str) -> ObjectStore:
    """A store from `file:///FOLDER` or `s3://HOST[:PORT]/BUCKET[?tls=false&region=R]`.

    S3 credentials are read from the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`), never from the URL.

    Raises:
        InvalidOption: another kind of URL.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return FolderStore(Path(unquote(parts.path)))
    bucket = parts.path.strip("/")
    if parts.scheme == "s3" and parts.netloc and bucket and "/" not in bucket and parts.username is None:
        return S3Store(_s3_client(parts.netloc, parts.query), bucket)
    raise InvalidOption(f"store {url}: must be file:///FOLDER or s3://HOST[:PORT]/BUCKET[?tls=false&region=REGION]")


def _s3_client(endpoint: str, query: str) -> Any:  # noqa: ANN401
    from urllib.parse import parse_qsl

    import urllib3
    from minio import Minio
    from minio.credentials.providers import EnvAWSProvider

    options = dict(parse_qsl(query))
    unknown = set(options) - {"tls", "region"}
    if unknown or options.get("tls", "true") not in {"true", "false"}:
        raise InvalidOption(f"store: unknown option {', '.join(sorted(unknown)) or 'tls=' + options['tls']}")
    timeout = urllib3.Timeout(connect=3, read=10)
    http = urllib3.PoolManager(maxsize=16, timeout=timeout, retries=urllib3.Retry(2, backoff_factor=0.1))
    return Minio(
        endpoint,
        credentials=EnvAWSProvider(),
        secure=options.get("tls", "true") == "true",
        region=options.get("region", "us-east-1"),
        http_client=http,
    )
