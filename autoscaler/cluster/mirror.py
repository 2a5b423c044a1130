"""A copy of some of the cluster's objects, kept up to date by list and watch.

A watch that ends, breaks or goes silent is taken up again where it stood; only when the server no longer knows that
place (410 Gone) is everything listed anew. What was deleted meanwhile is missing from the list, so nothing is missed.
Sources: Kubernetes documentation, "Efficient detection of changes"; client-go tools/cache/reflector.go.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

import orjson

from autoscaler.cluster.api import RefusedError, answer, translated
from autoscaler.cluster.objects import Object
from autoscaler.model import Unreachable

WATCH_S = 25
"""The server is asked to end a watch after this long."""
SILENCE_S = 30.0
"""A watch that has neither sent anything nor ended by now is a connection to nobody."""
PAGE = 500
"""Objects of one page of a list."""
MAX_LINE_BYTES = 16 << 20
"""etcd takes no object of more than 1.5 MB."""
_GONE, _NOT_FOUND = 410, 404
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0


class Kept(Protocol):
    """What is kept of an object."""

    @property
    def uid(self) -> str:
        """Its own."""

    @property
    def owner(self) -> str:
        """UID of its controller."""

    @property
    def name(self) -> str:
        """Unique in its namespace."""


Entry = TypeVar("Entry", bound=Kept)


class Mirror(Generic[Entry]):
    """Objects of one kind, by owner and by name. Safe between threads; what it gives out does not change.

    Args:
        parse: what is kept of an object.
        follow: what is kept after a change, from what was kept before (None for what is new) and what was parsed.
    """

    def __init__(
        self, parse: Callable[[Object], Entry], follow: Callable[[Entry | None, Entry], Entry] | None = None
    ) -> None:
        self._parse = parse
        self._follow = follow or (lambda _, now: now)
        self._lock = threading.Lock()
        self._by_uid: dict[str, Entry] = {}
        self._by_owner: dict[str, dict[str, Entry]] = {}
        self._by_name: dict[str, Entry] = {}

    def replace(self, objects: Iterable[Object]) -> None:
        """Take a whole list: what it lacks is gone. A list that breaks off changes nothing."""
        entries = [self._parse(each) for each in objects]
        with self._lock:
            entries = [self._follow(self._by_uid.get(entry.uid), entry) for entry in entries]
            self._by_uid.clear()
            self._by_owner.clear()
            self._by_name.clear()
            for entry in entries:
                self._put(entry)

    def put(self, changed: Object) -> None:
        """Take a new or changed object."""
        entry = self._parse(changed)
        with self._lock:
            entry = self._follow(self._by_uid.get(entry.uid), entry)
            self._drop(entry.uid)
            self._put(entry)

    def remove(self, gone: Object) -> None:
        """Forget a deleted object."""
        with self._lock:
            self._drop(gone["metadata"]["uid"])

    def owned(self, owner: str) -> tuple[Entry, ...]:
        """Objects whose controller has this UID."""
        with self._lock:
            return tuple(self._by_owner.get(owner, {}).values())

    def known(self, uid: str) -> Entry | None:
        """The object of this UID."""
        with self._lock:
            return self._by_uid.get(uid)

    def named(self, name: str) -> Entry | None:
        """The object of this name."""
        with self._lock:
            return self._by_name.get(name)

    def _put(self, entry: Entry) -> None:
        self._by_uid[entry.uid] = entry
        self._by_owner.setdefault(entry.owner, {})[entry.uid] = entry
        self._by_name[entry.name] = entry

    def _drop(self, uid: str) -> None:
        entry = self._by_uid.pop(uid, None)
        if entry is None:
            return
        siblings = self._by_owner[entry.owner]
        del siblings[uid]
        if not siblings:
            del self._by_owner[entry.owner]
        if self._by_name.get(entry.name) is entry:
            del self._by_name[entry.name]


class _GoneError(Exception):
    """The server no longer knows the place where the watch stood."""


class Reflector:
    """Keeps one mirror up to date, in a thread of its own.

    Args:
        call: the `list` of a `Kind`.
        namespace: whose objects.
        mirror: what to keep up to date.
        watch_s: when the server shall end a watch.
        silence_s: when a watch counts as dead.
        timeout_s: for one page of a list.
        nothing: statuses of a refusal that are no trouble (a kind that the cluster does not know, one that we may not
            read): then no objects are known, and it is asked again after a while.
        again_s: that while; as long as a watch lasts if None.

    Attributes:
        lists: how often everything was listed.
        refused: whether the last list was refused so.
        problem: what went wrong since the last sign of life. That a watch can be opened is none: it has to say
            something, or to end when it was asked to.
    """

    def __init__(
        self,
        call: Callable[..., Any],
        namespace: str,
        mirror: Mirror[Any],
        *,
        watch_s: float = WATCH_S,
        silence_s: float = SILENCE_S,
        timeout_s: float = 10.0,
        nothing: Collection[int] = (),
        again_s: float | None = None,
    ) -> None:
        self._call = call
        self._namespace = namespace
        self._mirror = mirror
        self._watch_s = watch_s
        self._silence_s = silence_s
        self._timeout_s = timeout_s
        self._nothing = nothing
        self._again_s = watch_s if again_s is None else again_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch-{namespace}", daemon=True)
        self._heard_s: float | None = None
        self.problem = "not listed yet"
        self.lists = 0
        self.refused = False

    def start(self) -> None:
        """Begin; the mirror is empty until the first list has come."""
        self._thread.start()

    def stop(self) -> None:
        """End at the next sign of life of the watch, at the latest when it counts as dead."""
        self._stopped.set()

    def silent_s(self) -> float | None:
        """Seconds since the server last said something; None before the first list."""
        return None if self._heard_s is None else time.monotonic() - self._heard_s

    def _run(self) -> None:
        version: str | None = None
        pause_s = _FIRST_PAUSE_S
        while not self._stopped.is_set():
            try:
                if version is None and (version := self._list()) is None:
                    self._stopped.wait(self._again_s)
                    continue
                for place in self._changes(version):
                    version, pause_s = place, _FIRST_PAUSE_S
                self._alive()
                self._stopped.wait(_FIRST_PAUSE_S)
            except _GoneError:
                version = None
            except Exception as error:  # noqa: BLE001 — whatever was sent: who ends here never hears anything again
                if isinstance(error, RefusedError) and error.status in (_GONE, _NOT_FOUND, *self._nothing):
                    version = None
                self.problem = f"{type(error).__name__}: {error}"
                self._stopped.wait(random.uniform(0, pause_s))  # noqa: S311 — spreads retries, guards nothing
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _alive(self) -> None:
        self._heard_s = time.monotonic()
        self.problem = ""

    def _list(self) -> str | None:
        """Take everything there is; gives the place from which to watch, None where the kind is not known."""
        version: str | None = None

        def objects() -> Iterator[Object]:
            nonlocal version
            for page in self._pages():
                version = str(page["metadata"]["resourceVersion"])
                yield from page["items"]

        try:
            self._mirror.replace(objects())
            self.refused = False
        except RefusedError as error:
            if error.status not in self._nothing:
                raise
            self._mirror.replace([])
            self.refused = True
        self.lists += 1
        self._alive()
        return version

    def _pages(self) -> Iterator[Object]:
        """One page after the other: thousands of raw pods take a hundred megabytes, what is kept of them five."""
        more = ""
        while True:
            options = {"_continue": more} if more else {}
            page = answer(self._call, self._namespace, limit=PAGE, timeout_s=self._timeout_s, **options)
            more = page["metadata"].get("continue", "")
            yield page
            if not more:
                return

    def _changes(self, version: str) -> Iterator[str]:
        """Follow the changes since a version; gives each new place, and ends with the watch."""
        for line in self._lines(version):
            yield self._take(orjson.loads(line))

    def _take(self, event: Object) -> str:
        kind, changed = event["type"], event["object"]
        if kind == "ERROR":
            if changed.get("code") == _GONE:
                raise _GoneError
            raise Unreachable(f"watch: {changed.get('message')}")
        if kind == "DELETED":
            self._mirror.remove(changed)
        elif kind in ("ADDED", "MODIFIED"):
            self._mirror.put(changed)
        self._alive()
        return str(changed["metadata"]["resourceVersion"])

    def _lines(self, version: str) -> Iterator[bytes]:
        with translated():
            response = self._call(
                self._namespace,
                watch=True,
                resource_version=version,
                allow_watch_bookmarks=True,
                timeout_seconds=max(1, round(self._watch_s)),
                timeout_s=(self._timeout_s, self._silence_s),
            )
            pending = b""
            try:
                for chunk in response.stream(amt=None):
                    *lines, pending = (pending + chunk).split(b"\n")
                    if len(pending) > MAX_LINE_BYTES:
                        raise Unreachable("watch: a line without end")
                    yield from lines
                    if self._stopped.is_set():
                        return
            finally:
                response.close()
