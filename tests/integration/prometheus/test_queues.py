"""Queues as brokers' exporters tell of them, through a real Prometheus: how many requests wait."""

import asyncio
import time

import aio_pika
import pytest
from rig import programs
from rig.exporter import steady
from rig.processes import wait_for
from rig.rabbitmq import rabbitmq_broker
from rig.web import Reply, website

from autoscaler.model import Cause, Fleet, Phase, Pod
from autoscaler.prometheus.client import Access, Prometheus
from autoscaler.prometheus.metrics import KAFKA, RABBITMQ, SPEECH, Subject
from autoscaler.prometheus.sharing import SharedQuery
from autoscaler.prometheus.source import PrometheusSignals, Wanted

pytestmark = pytest.mark.prometheus
READY = 7


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """With READY messages in `speech` and one in `other`."""
    try:
        with rabbitmq_broker(tmp_path_factory.mktemp("rabbitmq")) as running:
            asyncio.run(fill(running.url, {"speech": READY, "other": 1, "empty": 0}))
            yield running
    except programs.Absent as missing:
        pytest.skip(f"needs RabbitMQ: {missing}")


async def fill(url, queues):
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for name, messages in queues.items():
            await channel.declare_queue(name, durable=True)
            for _ in range(messages):
                await channel.default_exchange.publish(aio_pika.Message(b"task"), name)


def signals(prometheus, exporter, **facts):
    """Of a target whose pod receives requests, and which works off a queue."""
    queries = [SharedQuery(Prometheus(Access(prometheus.url)), each) for each in (SPEECH, exporter)]
    subject = Subject("queues", "tts", tuple(facts.items()))
    wanted = Wanted(subject, required=frozenset({"received", "queued"}), scrape_interval_s=0.5)
    return PrometheusSignals(queries, wanted)


def read(source):
    now_s = time.time()
    return source.read(now_s - 5.0, now_s, Fleet(1, (Pod(POD, Phase.SERVING, now_s - 60, now_s - 50),)))


POD = "tts-bcd-bcdfg"
WAY = {
    "per-object": {"__metrics_path__": "/metrics/per-object"},
    "detailed": {"__metrics_path__": "/metrics/detailed", "__param_family": "queue_coarse_metrics"},
}


@pytest.mark.parametrize("way", WAY)
def test_what_waits_in_a_queue_of_rabbitmq(way, prometheus, pods, broker):
    pods.pods["queues", POD] = steady(5.0)
    prometheus.scrape([(broker.exporter, WAY[way])])
    source = signals(prometheus, RABBITMQ, vhost="/", queue="speech")
    wait_for("all messages to be counted", lambda: wait_seen(source).scrapes[-1].queued == READY)
    empty = wait_seen(signals(prometheus, RABBITMQ, vhost="/", queue="empty"))
    assert empty.scrapes[-1].queued == 0.0


def wait_seen(source):
    """What is read once nothing is missing."""
    whole = []

    def seen():
        found = read(source)
        if found.scrapes and not found.problems:
            whole.append(found)
        return whole

    return wait_for("nothing to be missing", seen)[0]


def test_all_queues_of_a_node_in_one_sum_are_nobodys_queue(prometheus, pods, broker):
    pods.pods["queues", POD] = steady(5.0)
    prometheus.scrape([(broker.exporter, {"instance": "summed"})])
    wait_for("the sum", lambda: prometheus.query('rabbitmq_queue_messages_ready{instance="summed"}'))
    source = signals(prometheus, RABBITMQ, vhost="/", queue="nowhere")
    wait_for("the pod", lambda: "received" not in {problem.signal for problem in read(source).problems})
    [problem] = read(source).problems
    assert (problem.signal, problem.missing.cause) == ("queued", Cause.ABSENT)


KAFKA_PAGE = """\
# HELP kafka_consumergroup_lag Current Approximate Lag of a ConsumerGroup at Topic/Partition
# TYPE kafka_consumergroup_lag gauge
kafka_consumergroup_lag{consumergroup="workers",partition="0",topic="speech"} 11
kafka_consumergroup_lag{consumergroup="workers",partition="1",topic="speech"} 4
kafka_consumergroup_lag{consumergroup="audit",partition="0",topic="speech"} 900
kafka_consumergroup_lag{consumergroup="workers",partition="0",topic="other"} 900
"""
"""In the form of kafka_exporter."""


def test_a_groups_lag_on_a_topic_of_kafka_is_that_of_all_partitions(prometheus, pods):
    pods.pods["queues", POD] = steady(5.0)
    text = {"Content-Type": "text/plain; version=0.0.4"}
    with website(lambda _: Reply(KAFKA_PAGE.encode(), headers=text)) as site:
        address = site.url.removeprefix("http://")
        prometheus.scrape([(address, {})])
        source = signals(prometheus, KAFKA, group="workers", topic="speech")
        wait_for("the lag to be told", lambda: wait_seen(source).scrapes[-1].queued == 15.0)
        # Two exporters of one group are not added up.
        prometheus.scrape([(address, {}), (address, {"instance": "second"})])
        source = signals(prometheus, KAFKA, group="workers", topic="speech")
        said = wait_for("it to be said", lambda: [str(each) for each in read(source).problems])
        assert "kafka_consumergroup_lag comes twice" in said[0]
