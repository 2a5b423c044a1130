"""One message: what is stored, what is acknowledged, what is tried again, what is dead."""

from __future__ import annotations

import asyncio
import json

import pytest

from inference_server.errors import Refusal, bad_request, queue_full
from inference_server.storage.objects import FolderStore
from inference_server.worker.jobs import Done, Job
from inference_server.worker.processor import Processor
from inference_server.worker.task import Recognize, Sleep

TASK = b'{"kind": "sleep", "id": "t-1", "service_s": 0.1}'


class Counted:
    """A job that counts, and does what the test says."""

    def __init__(self, *outcomes) -> None:
        self.calls = 0
        self._outcomes = list(outcomes)

    async def __call__(self, task: Sleep) -> Done:
        self.calls += 1
        outcome = self._outcomes.pop(0) if self._outcomes else Done({"slept": task.service_s})
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


class Books:
    """What was counted, in order."""

    def __init__(self) -> None:
        self.entries: list[tuple] = []

    def received(self, endpoint: str) -> None:
        self.entries.append(("received", endpoint))

    def rejected(self, reason: str) -> None:
        self.entries.append(("rejected", reason))

    def completed(self, status: int, duration_s: float) -> None:
        self.entries.append(("completed", status, duration_s))

    def phase(self, name: str, seconds: float) -> None:
        raise AssertionError("a message has no phases of HTTP")


def processor(store, compute: Counted, books: Books | None = None, **options) -> Processor:
    return Processor(
        Job(Sleep, compute), store, books or Books(), **{"patience_s": 0.0, "stop": asyncio.Event()} | options
    )


def stored(store, key: str = "results/t-1.json") -> dict | None:
    data = store.get(key, 10_000)
    return None if data is None else json.loads(data)


@pytest.fixture
def store(tmp_path) -> FolderStore:
    return FolderStore(tmp_path)


async def test_a_result_lies_under_the_tasks_id(store) -> None:
    outcome = await processor(store, Counted()).process(TASK)
    assert outcome.verdict == "done"
    assert stored(store) == {"id": "t-1", "kind": "sleep", "status": "done", "slept": 0.1}


async def test_a_message_that_comes_again_is_not_computed_again(store) -> None:
    compute = Counted()
    assert [(await processor(store, compute).process(TASK)).verdict for _ in range(2)] == ["done", "duplicate"]
    assert compute.calls == 1


async def test_sound_is_stored_before_the_result_that_names_it(store) -> None:
    await processor(store, Counted(Done({}, b"sound", "mp3", "audio/mpeg"))).process(TASK)
    assert stored(store)["audio"] == "store:results/t-1.mp3"
    assert store.get("results/t-1.mp3", 10) == b"sound"


async def test_a_task_that_can_never_be_met_is_answered_with_its_refusal(store) -> None:
    compute = Counted(bad_request("no such voice", param="voice"))
    assert (await processor(store, compute).process(TASK)).verdict == "refused"
    assert stored(store)["error"] == {"code": "invalid_value", "message": "no such voice", "param": "voice"}


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(ValueError("the model failed"), id="the model fails"),
        pytest.param(queue_full(1), id="no capacity"),
        pytest.param(Refusal(503, "not_ready", "the store cannot be reached"), id="a source is away"),
        pytest.param(OSError("disk"), id="a disk fails"),
    ],
)
async def test_a_failure_is_tried_again_and_then_succeeds(store, failure: Exception) -> None:
    it = processor(store, Counted(failure))
    assert (await it.process(TASK)).verdict == "retry"
    assert stored(store) is None
    assert (await it.process(TASK)).verdict == "done"


async def test_a_store_that_cannot_be_written_means_again(tmp_path) -> None:
    (tmp_path / "results").write_text("a file where a folder should be")
    assert (await processor(FolderStore(tmp_path), Counted()).process(TASK)).verdict == "retry"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"kind": "sleep", "id": "t"}', id="a field is missing"),
        pytest.param(b'{"kind": "dance", "id": "t"}', id="unknown kind"),
        pytest.param(b'{"kind": "sleep", "id": "../t", "service_s": 1}', id="an id that leaves the folder"),
        pytest.param(b'{"kind": "sleep", "id": "t", "service_s": 1, "x": 1}', id="unknown field"),
        pytest.param(b'{"kind": "sleep", "id": "t", "service_s": -1}', id="impossible value"),
    ],
)
async def test_what_is_no_task_is_a_dead_letter(store, body: bytes) -> None:
    assert (await processor(store, Counted()).process(body)).verdict == "invalid"


async def test_a_task_for_another_worker_is_refused(store) -> None:
    outcome = await processor(store, Counted()).process(b'{"kind": "recognize", "id": "t-1", "audio": "store:a"}')
    assert outcome.verdict == "refused"
    assert stored(store)["error"]["code"] == "wrong_worker"
    assert Recognize(kind="recognize", id="t", audio="store:a").use_itn


async def test_a_task_that_was_begun_five_times_and_never_finished_is_dead(store) -> None:
    """Each of five workers is ended on it, as an interrupt ends a process: nothing is settled, nothing stored."""
    for _ in range(5):
        with pytest.raises(GeneratorExit):
            await processor(store, Counted(GeneratorExit()), count_attempts=True).process(TASK)
    assert (await processor(store, Counted(), count_attempts=True).process(TASK)).verdict == "invalid"
    assert stored(store) is None


@pytest.mark.parametrize(
    ("failure", "published_s", "entry"),
    [
        pytest.param(None, 93.0, ("completed", 200, 9.0), id="its age when it was done"),
        pytest.param(None, None, ("completed", 200, 2.0), id="of unknown age: the work alone"),
        pytest.param(None, 107.0, ("completed", 200, 2.0), id="a publisher whose clock is ahead"),
        pytest.param(bad_request("no such voice", param="voice"), 93.0, ("rejected", "bad_request"), id="refused"),
        pytest.param(ValueError("the model failed"), 93.0, ("rejected", "retried"), id="comes again"),
    ],
)
async def test_a_message_is_counted_once_and_its_age_is_its_time_to_answer(store, failure, published_s, entry) -> None:
    books, times_s = Books(), iter([100.0, 102.0])
    it = processor(store, Counted(*[failure] if failure else []), books, clock=lambda: next(times_s))
    await it.process(TASK, published_s)
    assert books.entries == [("received", "queue"), entry]


async def test_one_that_comes_again_after_its_result_was_stored_did_not_wait_for_it(store) -> None:
    books = Books()
    await processor(store, Counted()).process(TASK)
    await processor(store, Counted(), books, clock=lambda: 100.0).process(TASK, 50.0)
    assert books.entries[-1] == ("completed", 200, 0.0)


class Away(FolderStore):
    """A store that fails its first calls."""

    def __init__(self, folder, failures: int) -> None:
        super().__init__(folder)
        self.failures = failures

    def put(self, key: str, data: bytes, media_type: str) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("connection refused")
        super().put(key, data, media_type)


async def test_a_store_that_is_away_is_waited_for_with_the_result_in_hand(tmp_path) -> None:
    store, compute, books = Away(tmp_path, failures=2), Counted(), Books()
    assert (await processor(store, compute, books, patience_s=30.0).process(TASK)).verdict == "done"
    assert (compute.calls, [entry[0] for entry in books.entries]) == (1, ["received", "completed"])
    assert stored(store)["status"] == "done"


async def test_patience_with_a_store_has_an_end(tmp_path) -> None:
    assert (await processor(Away(tmp_path, failures=100), Counted(), patience_s=0.5).process(TASK)).verdict == "retry"


async def test_a_worker_that_is_to_end_leaves_the_message_of_a_store_that_is_away(tmp_path) -> None:
    store, books, stop = Away(tmp_path, failures=100), Books(), asyncio.Event()
    running = asyncio.create_task(processor(store, Counted(), books, patience_s=300.0, stop=stop).process(TASK))
    async with asyncio.timeout(20):
        while store.failures == 100:
            await asyncio.sleep(0.01)
        stop.set()
        assert (await running).verdict == "left"
    assert books.entries[-1] == ("rejected", "retried")


async def test_a_worker_that_is_to_end_stores_what_it_has_begun(store) -> None:
    stop = asyncio.Event()

    async def compute(task: Sleep) -> Done:
        stop.set()
        return Done({})

    assert (await Processor(Job(Sleep, compute), store, Books(), stop=stop).process(TASK)).verdict == "done"
    assert stored(store)["status"] == "done"


async def test_a_failure_while_the_worker_ends_leaves_the_message(store) -> None:
    stop = asyncio.Event()
    stop.set()
    assert (await processor(store, Counted(ValueError("the model failed")), stop=stop).process(TASK)).verdict == "left"
