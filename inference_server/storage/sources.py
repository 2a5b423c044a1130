"""Where sound may come from: a URL on the allow-list, or an object of the store."""

from __future__ import annotations

import asyncio

from inference_server.errors import Refusal
from inference_server.storage.fetch import Fetcher
from inference_server.storage.objects import ObjectStore, TooLarge

_SCHEME = "store:"


class Sources:
    """Gets sound by reference: `https://…`, or `store:KEY`."""

    def __init__(self, fetcher: Fetcher, store: ObjectStore | None, max_bytes: int = 32 << 20) -> None:
        self._fetcher = fetcher
        self._store = store
        self._max_bytes = max_bytes

    async def get(self, reference: str) -> bytes:
        """The bytes behind a reference.

        Raises:
            Refusal: 400: not allowed, not there, too large. 503: the store cannot be reached.
        """
        if not reference.startswith(_SCHEME):
            return await self._fetcher.fetch(reference)
        if self._store is None:
            raise Refusal(400, "bad_request", "this server has no store", code="no_store", param="url")
        key = reference.removeprefix(_SCHEME)
        try:
            data = await asyncio.to_thread(self._store.get, key, self._max_bytes)
        except (TooLarge, ValueError) as error:
            raise Refusal(400, "bad_request", str(error), code="object_refused", param="url") from error
        except OSError as error:
            raise Refusal(503, "not_ready", "the store cannot be reached", code="store_unreachable") from error
        if data is None:
            raise Refusal(400, "bad_request", f"there is no object {key[:200]}", code="object_not_found", param="url")
        return data
