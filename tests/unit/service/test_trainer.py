"""Fits run beside the loop: one at a time, the latest wish next, a failed one gives nothing."""

import threading
from concurrent.futures import Executor, Future

from structlog.testing import capture_logs

from autoscaler.model import Fit, Fitted
from autoscaler.service.trainer import BackgroundTrainer, Elsewhere, OneThread


class ByHand(Executor):
    """Runs a job when the test says so."""

    def __init__(self):
        self.jobs = []

    def submit(self, job):
        future = Future()
        self.jobs.append((job, future))
        return future

    def run(self):
        job, future = self.jobs.pop(0)
        try:
            future.set_result(job())
        except ValueError as error:
            future.set_exception(error)


def fit(name):
    return Fit(lambda: Fitted(name, name))


def trainer():
    executor = ByHand()
    return executor, BackgroundTrainer(executor, "voice/tts")


def test_a_model_is_handed_over_once_when_it_is_finished():
    executor, ours = trainer()
    ours.submit(fit("first"))
    assert ours.finished() is None
    executor.run()
    assert ours.finished().digest == "first"
    assert ours.finished() is None


def test_while_a_job_runs_only_the_latest_wish_waits():
    executor, ours = trainer()
    for name in ("first", "second", "third"):
        ours.submit(fit(name))
    assert len(executor.jobs) == 1
    executor.run()
    assert ours.finished().digest == "first"
    executor.run()
    assert ours.finished().digest == "third"
    assert executor.jobs == []


def test_too_little_to_learn_from_gives_nothing():
    executor, ours = trainer()
    ours.submit(Fit(lambda: None))
    executor.run()
    assert ours.finished() is None


def test_a_fit_that_fails_is_said_and_the_next_one_runs():
    executor, ours = trainer()

    def broken():
        raise ValueError("singular")

    ours.submit(Fit(broken))
    ours.submit(fit("second"))
    executor.run()
    with capture_logs() as logs:
        assert ours.finished() is None
    assert [(line["event"], line["target"]) for line in logs] == [("fit failed, the last model stays", "voice/tts")]
    executor.run()
    assert ours.finished().digest == "second"


def test_what_is_worked_out_elsewhere_waits_its_turn_here():
    executor, ours = trainer()
    asked = []

    def learn(job):
        asked.append(job)
        return job()

    elsewhere = Elsewhere(ours, learn)
    ours.submit(fit("here"))
    elsewhere.submit(fit("there"))
    executor.run()
    assert (ours.finished().digest, asked) == ("here", [])
    executor.run()
    assert elsewhere.finished().digest == "there"
    assert len(asked) == 1


def test_jobs_of_one_thread_run_in_order_and_their_errors_are_told():
    executor, order = OneThread("fit"), []
    done = [executor.submit(order.append, number) for number in range(3)]
    failed = executor.submit(lambda: 1 / 0)
    assert isinstance(failed.exception(timeout=10), ZeroDivisionError)
    assert [future.done() for future in done] == [True] * 3
    assert order == [0, 1, 2]


def test_after_its_end_no_job_begins():
    executor, began, hold, order = OneThread("fit"), threading.Event(), threading.Event(), []
    running = executor.submit(lambda: began.set() or hold.wait(10))
    later = executor.submit(order.append, 1)
    assert began.wait(10)
    executor.shutdown()
    hold.set()
    assert running.result(timeout=10)
    assert executor.submit(order.append, 2).done() is False
    assert (later.done(), order) == (False, [])


def test_its_thread_does_not_hold_up_the_end_of_the_process():
    executor = OneThread("a-fit-that-takes-long")
    executor.submit(threading.Event().wait, 1)
    [thread] = [each for each in threading.enumerate() if each.name == "a-fit-that-takes-long"]
    assert thread.daemon
