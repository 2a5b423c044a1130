"""One message, from its bytes to its stored result. Knows no broker.

The result is stored under the task's id before the message is acknowledged: a worker that dies in between causes the
message to come again, and then the stored result answers it. Storing twice stores the same thing in the same place.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Any, Literal

from inference_server.errors import Refusal
from inference_server.storage.objects import ObjectStore
from inference_server.worker.jobs import Job
from inference_server.worker.task import Task, parse_task, result_key, sound_key

logger = logging.getLogger(__name__)

Verdict = Literal["done", "duplicate", "refused", "invalid", "retry"]
"""`done`, `duplicate`, `refused`: acknowledge. `invalid`: dead letter. `retry`: deliver again, later."""

_MAX_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message."""

    verdict: Verdict
    why: str = ""


class Processor:
    """Computes tasks and stores results.

    Args:
        job: of the engine.
        store: where results go.
        count_attempts: note each attempt in the store, for brokers that do not count deliveries; a task that was begun
            five times and never finished is then `invalid` (it may be what kills the worker).
    """

    def __init__(self, job: Job, store: ObjectStore, *, count_attempts: bool = False) -> None:
        self._job = job
        self._store = store
        self._count_attempts = count_attempts

    async def process(self, body: bytes) -> Outcome:
        """Compute one task, unless its result is there already. Never raises for a task that fails."""
        try:
            task = parse_task(body)
        except ValueError as error:
            return Outcome("invalid", f"not a task: {error}")
        try:
            return await self._process(task)
        except OSError as error:
            return Outcome("retry", f"{task.id}: the store failed: {error}")
        except Refusal as refusal:
            if refusal.status >= 500:
                return Outcome("retry", f"{task.id}: {refusal.message}")
            told = {"code": refusal.code, "message": refusal.message, "param": refusal.param}
            return await self._store_result(task, {"status": "refused", "error": told}, "refused")
        except Exception as error:  # a model may raise anything (research: speech, 2c, 21)
            logger.exception("task %s failed", task.id)
            return Outcome("retry", f"{task.id}: {error}")

    async def _process(self, task: Task) -> Outcome:
        if await asyncio.to_thread(self._store.exists, result_key(task.id)):
            return Outcome("duplicate")
        if self._count_attempts and await asyncio.to_thread(self._attempt, task.id) > _MAX_ATTEMPTS:
            return Outcome("invalid", f"{task.id}: begun {_MAX_ATTEMPTS} times and never finished")
        done = await self._job.run(task)
        fields = dict(done.fields)
        if done.sound is not None:
            key = sound_key(task.id, done.extension)
            await asyncio.to_thread(self._store.put, key, done.sound, done.media_type)
            fields["audio"] = f"store:{key}"
        return await self._store_result(task, {"status": "done", **fields}, "done")

    async def _store_result(self, task: Task, fields: dict[str, Any], verdict: Verdict) -> Outcome:
        data = json.dumps({"id": task.id, "kind": task.kind, **fields}, ensure_ascii=False).encode()
        try:
            await asyncio.to_thread(self._store.put, result_key(task.id), data, "application/json")
        except OSError as error:
            return Outcome("retry", f"{task.id}: the store failed: {error}")
        return Outcome(verdict)

    def _attempt(self, task_id: str) -> int:
        key = f"attempts/{task_id}"
        number = int(self._store.get(key, 16) or b"0") + 1
        self._store.put(key, str(number).encode(), "text/plain")
        return number
