"""Workers on real brokers that are killed with -9 in the middle: nothing lost, nothing doubled, poison set aside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from rig.processes import wait_for
from rig.programs import Absent
from rig.rabbitmq import rabbitmq_broker

from inference_server.worker import kafka as worker
from inference_server.worker.kafka import dead_topic
from inference_server.worker.processor import Outcome
from inference_server.worker.rabbitmq import dead_queue, queue_arguments

IN_TIME_S = 120
KILLS = int(os.environ.get("SPEECH_KILLS", "5"))
TASKS = 8 * KILLS


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory) -> Iterator[str]:
    """A RabbitMQ of its own."""
    with contextlib.ExitStack() as stack:
        try:
            broker = stack.enter_context(rabbitmq_broker(tmp_path_factory.mktemp("rabbitmq")))
        except Absent as missing:
            pytest.skip(f"needs RabbitMQ: {missing}")
        wait_for("RabbitMQ takes connections", lambda: asyncio.run(_answers(broker.url)))
        yield broker.url


async def _answers(url: str) -> bool:
    try:
        await (await aio_pika.connect(url, timeout=5)).close()
    except (TimeoutError, OSError, aio_pika.exceptions.AMQPException):
        return False
    return True


@contextlib.contextmanager
def kafka_broker(programs: Path, folder: Path) -> Iterator[str]:
    def run(what: str) -> str:
        command = [programs / "kafka", what, folder]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    yield run("up").strip()
    run("down")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory, shared_servers) -> Iterator[str]:
    """An Apache Kafka of its own."""
    with kafka_broker(shared_servers, tmp_path_factory.mktemp("kafka")) as servers:
        yield servers


class Workers:
    """Worker processes with the sleeper."""

    def __init__(self, broker: str, queue: str, store: Path) -> None:
        self._arguments = ["--broker", broker, "--queue", queue, "--store", f"file://{store}", "--prefetch", "4"]
        self.running: list[subprocess.Popen] = []

    def start(self, *options: str) -> subprocess.Popen:
        command = [sys.executable, "-c", "from inference_server.cli import main; main()", "work", "--engine", "sleeper"]
        process = subprocess.Popen(
            [*command, "--port", "0", "-o", "slots=4", *self._arguments, *options], stdout=subprocess.PIPE, text=True
        )
        self.running.append(process)
        return process

    def kill(self, process: subprocess.Popen) -> None:
        process.kill()
        process.wait(30)
        process.stdout.close()
        self.running.remove(process)

    def close(self) -> None:
        for process in list(self.running):
            self.kill(process)


@pytest.fixture
def workers(tmp_path):
    with contextlib.ExitStack() as stack:

        def make(broker: str, queue: str) -> Workers:
            made = Workers(broker, queue, tmp_path)
            stack.callback(made.close)
            return made

        yield make


def task(number: int, service_s: float = 0.05) -> bytes:
    return json.dumps({"kind": "sleep", "id": f"task-{number}", "service_s": service_s}).encode()


def results(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("results/*.json"))


async def until(condition) -> None:
    async with asyncio.timeout(IN_TIME_S):
        while not condition():
            await asyncio.sleep(0.02)


async def survive_kills(fleet: Workers, folder: Path) -> None:
    """Kill a worker again and again while it works, at moments that differ; a new one takes over each time."""
    dice = random.Random(11)
    for kill in range(KILLS):
        process = fleet.start()
        goal = len(results(folder)) + dice.randint(1, 4)
        if kill < KILLS - 1:
            await until(lambda goal=goal: len(results(folder)) >= min(goal, TASKS))
            await asyncio.sleep(dice.random() * 0.05)  # somewhere within a task
        else:
            await until(lambda: len(results(folder)) == TASKS)
        fleet.kill(process)


async def publish(url: str, queue: str, bodies: list[bytes]) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.declare_queue(queue, durable=True, arguments=queue_arguments(queue))
        for body in bodies:
            await channel.default_exchange.publish(
                aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT), queue, mandatory=True
            )


async def take(url: str, queue: str, count: int) -> list[bytes]:
    """Exactly `count` messages from a queue, acknowledged."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        found = await channel.get_queue(queue)
        taken: list[bytes] = []
        async with asyncio.timeout(IN_TIME_S):
            while len(taken) < count:
                message = await found.get(fail=False)
                if message is None:
                    await asyncio.sleep(0.05)
                    continue
                await message.ack()
                taken.append(message.body)
        return taken


async def left(url: str, queue: str) -> int:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count


async def ready(process: subprocess.Popen) -> str:
    url = (await asyncio.to_thread(process.stdout.readline)).strip()
    async with asyncio.timeout(IN_TIME_S), httpx.AsyncClient() as http:
        while (await http.get(f"{url}/readyz")).status_code != 200:
            await asyncio.sleep(0.05)
    return url


async def declared(fleet: Workers, url: str, queue: str) -> subprocess.Popen:
    """A worker that runs, and has made its queues."""
    process = fleet.start()
    await ready(process)
    async with asyncio.timeout(IN_TIME_S):
        while True:
            with contextlib.suppress(aio_pika.exceptions.ChannelClosed):
                await left(url, queue)
                return process
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_rabbitmq_workers_killed_in_the_middle_lose_and_double_nothing(rabbitmq, workers, tmp_path) -> None:
    fleet = workers(rabbitmq, "kills")
    fleet.kill(await declared(fleet, rabbitmq, "kills"))
    await publish(rabbitmq, "kills", [task(number) for number in range(TASKS)])
    await survive_kills(fleet, tmp_path)
    assert results(tmp_path) == sorted(f"task-{number}.json" for number in range(TASKS))
    assert await left(rabbitmq, dead_queue("kills")) == 0


async def test_rabbitmq_dead_letters_and_a_drain(rabbitmq, workers, tmp_path) -> None:
    fleet = workers(rabbitmq, "letters")
    process = await declared(fleet, rabbitmq, "letters")
    await publish(rabbitmq, "letters", [b"no task", task(1), task(2, service_s=1.5)])
    assert await take(rabbitmq, dead_queue("letters"), 1) == [b"no task"]
    await until(lambda: results(tmp_path) == ["task-1.json"])
    process.send_signal(signal.SIGTERM)  # task 2 is running
    assert await asyncio.to_thread(process.wait, 30) == 0
    assert results(tmp_path) == ["task-1.json", "task-2.json"]
    assert await left(rabbitmq, "letters") == 0


@contextlib.contextmanager
def store_away(folder: Path) -> Iterator[None]:
    """Nothing can be written into the folder of results meanwhile."""
    (folder / "results").write_text("a file where a folder should be")
    yield
    (folder / "results").unlink()


async def waits_for_its_store(url: str) -> None:
    async with asyncio.timeout(IN_TIME_S):
        while not (
            await told(url, "speech_requests_admitted_total") and await told(url, "speech_requests_in_flight") == 0
        ):
            await asyncio.sleep(0.02)


async def test_a_rabbitmq_worker_that_is_ended_while_its_store_is_away_ends(rabbitmq, workers, tmp_path) -> None:
    fleet = workers(rabbitmq, "away")
    with store_away(tmp_path):
        process = fleet.start()
        url = await ready(process)
        await publish(rabbitmq, "away", [task(1)])
        await waits_for_its_store(url)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 20) == 0
    fleet.start()
    await until(lambda: results(tmp_path) == ["task-1.json"])


async def told(url: str, name: str) -> float:
    """A metric of a worker; its `endpoint` or `service` is clear."""
    async with httpx.AsyncClient() as http:
        lines = (await http.get(f"{url}/metrics")).text.splitlines()
    [line] = [line for line in lines if line.startswith(f"{name}{{")]
    return float(line.split()[-1])


@pytest.mark.parametrize("stamp", ["by the publisher", "by the broker's interceptor"])
async def test_a_message_that_waited_in_rabbitmq_has_waited(stamp, rabbitmq, workers, tmp_path) -> None:
    queue, age_s = f"age-{len(stamp)}", 40
    published = datetime.now(UTC) - timedelta(seconds=age_s)
    fleet = workers(rabbitmq, queue)
    process = fleet.start()
    url = await ready(process)
    assert await told(url, "speech_requests_received_total") == 0.0
    by_publisher = {"timestamp": published}
    by_broker = {"headers": {"timestamp_in_ms": round(published.timestamp() * 1000)}}
    async with await aio_pika.connect(rabbitmq) as connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.declare_queue(queue, durable=True, arguments=queue_arguments(queue))
        message = aio_pika.Message(task(1), **(by_publisher if stamp == "by the publisher" else by_broker))
        await channel.default_exchange.publish(message, queue, mandatory=True)
    await until(lambda: results(tmp_path) == ["task-1.json"])
    async with asyncio.timeout(IN_TIME_S):
        while not await told(url, "speech_request_duration_seconds_count"):
            await asyncio.sleep(0.02)
    assert age_s - 1 < await told(url, "speech_request_duration_seconds_sum") < age_s + IN_TIME_S
    assert await told(url, "speech_requests_received_total") == 1.0


@pytest.mark.slow
async def test_a_task_that_kills_every_worker_is_set_aside_by_rabbitmq(rabbitmq, workers, tmp_path) -> None:
    fleet = workers(rabbitmq, "poison")
    fleet.kill(await declared(fleet, rabbitmq, "poison"))
    await publish(rabbitmq, "poison", [task(1)])
    dead = asyncio.create_task(take(rabbitmq, dead_queue("poison"), 1))
    while not dead.done():
        process = fleet.start("-o", "crash_at=1")
        ended = asyncio.create_task(asyncio.to_thread(process.wait))
        await asyncio.wait({dead, ended}, return_when=asyncio.FIRST_COMPLETED)
    fleet.kill(process)
    await ended
    assert await dead == [task(1)]
    assert results(tmp_path) == []


async def make_topics(servers: str, *topics: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1) for topic in topics])
    finally:
        await admin.close()


async def send(servers: str, topic: str, bodies: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all")
    await producer.start()
    try:
        for body in bodies:
            await producer.send_and_wait(topic, body)
    finally:
        await producer.stop()


async def committed(servers: str, topic: str, group: str) -> int:
    """Messages of a topic that a group is done with."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return sum(found.offset for partition, found in offsets.items() if partition.topic == topic and found.offset > 0)


async def read(servers: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(IN_TIME_S):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


class Gate:
    """The way to a broker: it may break off the first connections, as one does that has just come up, and be shut."""

    def __init__(self, broker: str, refusals: float = 0) -> None:
        self._broker = urlsplit(broker)
        self._refusals = refusals
        self._writers: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def open(self):
        """Yields the broker's URL by this way."""
        async with await asyncio.start_server(self._connected, "127.0.0.1", 0) as server:
            address = f"{self._broker.hostname}:{server.sockets[0].getsockname()[1]}"
            yield self._broker._replace(netloc=f"{self._broker.username}:{self._broker.password}@{address}").geturl()
            self.shut()

    def shut(self) -> None:
        self._refusals = float("inf")
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusals:
            self._refusals -= 1
            writer.close()
            return
        back, onward = await asyncio.open_connection(self._broker.hostname, self._broker.port)
        self._writers += (writer, onward)
        await asyncio.gather(self._pipe(reader, onward), self._pipe(back, writer), return_exceptions=True)

    @staticmethod
    async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while some := await reader.read(65536):
                writer.write(some)


async def test_a_worker_asks_a_broker_again_that_breaks_off_at_first(rabbitmq, workers, tmp_path) -> None:
    async with Gate(rabbitmq, refusals=2).open() as url:
        process = workers(url, "late").start()
        await publish(rabbitmq, "late", [task(1)])
        await until(lambda: results(tmp_path) == ["task-1.json"])
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 20) == 0


async def test_a_worker_that_is_ended_while_its_broker_is_away_ends_with_what_it_began(
    rabbitmq, workers, tmp_path
) -> None:
    gate = Gate(rabbitmq)
    async with gate.open() as url:
        process = workers(url, "away").start()
        await publish(rabbitmq, "away", [task(1), task(2, service_s=2.0)])
        await until(lambda: results(tmp_path) == ["task-1.json"])
        gate.shut()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
        assert results(tmp_path) == ["task-1.json", "task-2.json"]
    assert await take(rabbitmq, "away", 1) == [task(2, service_s=2.0)]  # not acknowledged: it has come again


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"x-queue-type": "classic"}, id="classic"),
        pytest.param(queue_arguments("other") | {"x-delivery-limit": 1000}, id="another limit"),
        pytest.param({k: v for k, v in queue_arguments("other").items() if k != "x-delivery-limit"}, id="no limit"),
    ],
)
async def test_a_queue_of_another_kind_is_not_worked_off(other, rabbitmq, workers, capfd) -> None:
    async with await aio_pika.connect(rabbitmq) as connection:
        channel = await connection.channel()
        await channel.declare_queue("other", durable=True, arguments=other)
        process = workers(rabbitmq, "other").start()
        assert await asyncio.to_thread(process.wait, 60) == 2
        await channel.queue_delete("other")
    told = capfd.readouterr().err
    assert "'other'" in told
    assert "x-delivery-limit=5" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("scheme", ["amqp", "kafka"])
async def test_a_worker_that_is_ended_while_its_broker_does_not_answer_ends(scheme, workers) -> None:
    asked, left_alone = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        left_alone.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        process = workers(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", "any").start()
        async with asyncio.timeout(IN_TIME_S):
            await asked.wait()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 15) == 0
        await left_alone.wait()


@pytest.mark.parametrize("broker", ["amqp://guest:guest@127.0.0.1:9/", "kafka://127.0.0.1:9"])
def test_a_broker_that_is_not_there_ends_the_worker(broker, workers) -> None:
    process = workers(broker, "any").start()
    assert process.wait(60) == 1


@pytest.mark.shared
async def test_a_kafka_worker_that_is_ended_while_its_store_is_away_ends(kafka, workers, tmp_path) -> None:
    await make_topics(kafka, "away", dead_topic("away"))
    fleet = workers(f"kafka://{kafka}", "away")
    with store_away(tmp_path):
        process = fleet.start()
        url = await ready(process)
        await send(kafka, "away", [task(1)])
        await waits_for_its_store(url)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 20) == 0
    fleet.start()
    await until(lambda: results(tmp_path) == ["task-1.json"])


@pytest.mark.shared
async def test_a_kafka_worker_that_is_ended_while_its_broker_is_away_ends_with_what_it_began(
    shared_servers, workers, tmp_path
) -> None:
    with kafka_broker(shared_servers, tmp_path / "broker") as servers:
        await make_topics(servers, "away")
        await send(servers, "away", [task(1), task(2, service_s=5.0)])
        process = workers(f"kafka://{servers}", "away").start()
        await until(lambda: results(tmp_path) == ["task-1.json"])
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 30) == 0
    assert results(tmp_path) == ["task-1.json", "task-2.json"]


async def test_a_kafka_worker_that_takes_longer_than_members_usually_may_keeps_its_message(kafka, monkeypatch) -> None:
    """Five minutes between two polls, by the library's default; here one second."""
    monkeypatch.setattr(worker, "AIOKafkaConsumer", partial(AIOKafkaConsumer, max_poll_interval_ms=1000))
    await make_topics(kafka, "patient")
    taken: list[bytes] = []
    stop = asyncio.Event()

    async def slowly(body: bytes, published_s: float | None) -> Outcome:
        taken.append(body)
        await asyncio.sleep(4.0)
        return Outcome("done")

    async with asyncio.timeout(IN_TIME_S), asyncio.TaskGroup() as members:
        for _ in range(2):
            members.create_task(worker.consume(kafka, "patient", "group", process=slowly, prefetch=1, stop=stop))
        await send(kafka, "patient", [b"a", b"b"])
        while await committed(kafka, "patient", "group") < 2:
            await asyncio.sleep(0.1)
        stop.set()
    assert sorted(taken) == [b"a", b"b"]


@pytest.mark.slow
@pytest.mark.shared
async def test_a_kafka_worker_that_comes_has_nothing_computed_twice(kafka) -> None:
    """Partitions move when what was taken of them is done with."""
    await make_topics(kafka, "growing")
    messages = [bytes([number]) for number in range(6)]
    taken: list[bytes] = []
    begun, stop = asyncio.Event(), asyncio.Event()

    async def slowly(body: bytes, published_s: float | None) -> Outcome:
        taken.append(body)
        begun.set()
        await asyncio.sleep(3.0)
        return Outcome("done")

    await send(kafka, "growing", messages)
    async with asyncio.timeout(IN_TIME_S), asyncio.TaskGroup() as members:
        for _ in range(2):
            begun.clear()
            members.create_task(worker.consume(kafka, "growing", "grown", process=slowly, prefetch=1, stop=stop))
            await begun.wait()
        while await committed(kafka, "growing", "grown") < len(messages):
            await asyncio.sleep(0.1)
        stop.set()
    assert sorted(taken) == messages


@pytest.mark.slow
@pytest.mark.shared
async def test_kafka_workers_killed_in_the_middle_lose_and_double_nothing(kafka, workers, tmp_path) -> None:
    await make_topics(kafka, "kills", dead_topic("kills"))
    fleet = workers(f"kafka://{kafka}", "kills")
    await send(kafka, "kills", [b"no task", *(task(number) for number in range(TASKS))])
    await survive_kills(fleet, tmp_path)
    assert results(tmp_path) == sorted(f"task-{number}.json" for number in range(TASKS))
    assert b"no task" in await read(kafka, dead_topic("kills"), 1)
