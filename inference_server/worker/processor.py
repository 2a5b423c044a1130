"""One message, from its bytes to its stored result. Knows no broker.

The result is stored under the task's id before the message is acknowledged: a worker that dies in between causes the
message to come again, and then the stored result answers it. Storing twice stores the same thing in the same place.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from typing import Any, Literal, TypeVar

from inference_server.errors import Reason, Refusal
from inference_server.storage.objects import ObjectStore
from inference_server.telemetry.accounting import Ledger
from inference_server.worker.jobs import Job
from inference_server.worker.task import Task, parse_task, result_key, sound_key

logger = logging.getLogger(__name__)

Verdict = Literal["done", "duplicate", "refused", "invalid", "retry", "left"]
"""`done`, `duplicate`, `refused`: acknowledge. `invalid`: dead letter. `retry`: deliver again, later. `left`: the
worker ends, and the message comes again to another."""

ENDPOINT = "queue"
"""What messages are counted under."""
_MAX_ATTEMPTS = 5
PATIENCE_S = 300.0
"""So long a store that is away is waited for, with what was computed in hand."""
_BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message."""

    verdict: Verdict
    why: str = ""
    reason: Reason | None = None
    """Why there is no result."""


class Processor:
    """Computes tasks, stores results, and counts them like requests.

    Args:
        job: of the engine.
        store: where results go.
        ledger: where the counts go.
        count_attempts: note each attempt in the store, for brokers that do not count deliveries; a task that was begun
            five times and never finished is then `invalid` (it may be what kills the worker).
        clock: seconds since the epoch, as the broker tells them.
        patience_s: how long a store that is away is waited for. No message is to blame for it: giving each back would
            make them dead letters within seconds, and all would be computed again.
        stop: set when the worker is to end. What was begun is still computed, and stored if the store is there: it is
            not waited for any more.
    """

    def __init__(
        self,
        job: Job,
        store: ObjectStore,
        ledger: Ledger,
        *,
        count_attempts: bool = False,
        clock: Callable[[], float] = time.time,
        patience_s: float = PATIENCE_S,
        stop: asyncio.Event,
    ) -> None:
        self._job = job
        self._store = store
        self._ledger = ledger
        self._count_attempts = count_attempts
        self._clock = clock
        self._patience_s = patience_s
        self._stop = stop

    async def process(self, body: bytes, published_s: float | None = None) -> Outcome:
        """Compute one task, unless its result is there already. Never raises for a task that fails.

        Args:
            body: the message.
            published_s: when it was published, seconds since the epoch, where the broker tells. Its time to answer
                begins then: to whoever waits for it, waiting in the broker is waiting.
        """
        taken_s = self._clock()
        self._ledger.received(ENDPOINT)
        outcome = await self._outcome(body)
        if outcome.reason is not None:
            self._ledger.rejected(outcome.reason)
        elif outcome.verdict == "duplicate" or published_s is None:
            self._ledger.completed(200, self._clock() - taken_s)
        else:
            self._ledger.completed(200, self._clock() - min(published_s, taken_s))
        return outcome

    async def _outcome(self, body: bytes) -> Outcome:
        try:
            task = parse_task(body)
        except ValueError as error:
            return Outcome("invalid", f"not a task: {error}", "bad_request")
        try:
            return await self._process(task)
        except OSError as error:
            return self._again(task, f"the store failed: {error}")
        except Refusal as refusal:
            if refusal.status >= 500:
                return self._again(task, refusal.message)
            told = {"code": refusal.code, "message": refusal.message, "param": refusal.param}
            fields = {"status": "refused", "error": told}
            return await self._store_result(task, fields, Outcome("refused", reason=refusal.reason))
        except Exception as error:  # a model may raise anything (research: speech, 2c, 21)
            logger.exception("task %s failed", task.id)
            return self._again(task, str(error))

    async def _process(self, task: Task) -> Outcome:
        if await self._patiently(partial(self._store.exists, result_key(task.id))):
            return Outcome("duplicate")
        if self._count_attempts and await self._patiently(partial(self._attempt, task.id)) > _MAX_ATTEMPTS:
            why = f"{task.id}: begun {_MAX_ATTEMPTS} times and never finished"
            return Outcome("invalid", why, "bad_request")
        done = await self._job.run(task)
        fields = dict(done.fields)
        if done.sound is not None:
            key = sound_key(task.id, done.extension)
            await self._patiently(partial(self._store.put, key, done.sound, done.media_type))
            fields["audio"] = f"store:{key}"
        return await self._store_result(task, {"status": "done", **fields}, Outcome("done"))

    async def _store_result(self, task: Task, fields: dict[str, Any], outcome: Outcome) -> Outcome:
        data = json.dumps({"id": task.id, "kind": task.kind, **fields}, ensure_ascii=False).encode()
        try:
            await self._patiently(partial(self._store.put, result_key(task.id), data, "application/json"))
        except OSError as error:
            return self._again(task, f"the store failed: {error}")
        return outcome

    async def _patiently(self, call: Callable[[], Found]) -> Found:
        """Ask the store until it answers.

        Raises:
            OSError: it was away for longer than the patience, or when the worker is to end.
        """
        until_s, waits_s = time.monotonic() + self._patience_s, chain(_BACK_OFF_S, repeat(_BACK_OFF_S[-1]))
        while True:
            try:
                return await asyncio.to_thread(call)
            except OSError as error:
                wait_s = next(waits_s)
                if self._stop.is_set() or time.monotonic() + wait_s > until_s:
                    raise
                logger.warning("the store is away, waited for: %s", error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), wait_s)

    def _attempt(self, task_id: str) -> int:
        key = f"attempts/{task_id}"
        number = int(self._store.get(key, 16) or b"0") + 1
        self._store.put(key, str(number).encode(), "text/plain")
        return number

    def _again(self, task: Task, why: str) -> Outcome:
        return Outcome("left" if self._stop.is_set() else "retry", f"{task.id}: {why}", "retried")
