"""A process that learns one thing: it answers, or whatever becomes of it is a fit that failed; none is left behind."""

import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from operator import truediv

import numpy as np
import psutil
import pytest

from autoscaler.forecast.leadtime import Windows
from autoscaler.forecast.priorfile import load
from autoscaler.forecast.series import LoadSeries
from autoscaler.model import Fitted
from autoscaler.policies.predictive.learn import learn
from autoscaler.service.learner import Learner, LearningFailed
from autoscaler.spec.load import shipped_prior

SOON_S = 30.0


def eventually(found):
    """What is found within a bound."""
    until_s = time.monotonic() + SOON_S
    while not (what := found()):
        assert time.monotonic() < until_s, "did not happen in time"
        threading.Event().wait(0.02)
    return what


def children(process=None):
    """Processes of this one, or of another, that learn."""
    return [each for each in psutil.Process(process).children() if Learner.__module__ in each.cmdline()]


def lesson():
    """A fit over eight hours, as the policy asks for."""
    series = LoadSeries(5.0, 0.0)
    series.append(np.random.default_rng(1).poisson(20.0, 5760))
    return partial(learn, series, Windows(3, (3, 7), 10, 4), 0.036, np.asarray, 7)


def test_the_model_is_the_one_that_would_have_been_learned_here():
    here, there = lesson()(), Learner().learn(lesson())
    assert there.digest == here.digest
    rows = np.random.default_rng(2).normal(size=(3, here.model.forest.columns))
    one, other = (each.model.forest.histograms(each.model.forest.leaves(rows)) for each in (there, here))
    np.testing.assert_array_equal(one, other)


def test_what_comes_back_may_be_changed_in_place_and_what_targets_share_stays_one_thing():
    prior = load(shipped_prior()).models[0]
    found = Learner().learn(partial(Fitted, "both", [np.zeros(3), prior, prior])).model
    found[0] += 1
    assert found[0].tolist() == [1.0, 1.0, 1.0]
    assert found[1] is found[2] is prior


def test_it_gives_way_to_others():
    assert Learner().learn(partial(os.getpriority, os.PRIO_PROCESS, 0)) == os.getpriority(os.PRIO_PROCESS, 0) + 10


def test_what_a_library_prints_does_not_spoil_the_answer():
    assert Learner().learn(partial(print, "a warning")) is None


def test_too_little_to_learn_from_gives_nothing():
    assert Learner().learn(dict) == {}
    assert Learner().learn(partial({}.get, "x")) is None


@pytest.mark.parametrize(
    ("job", "why"),
    [
        pytest.param(partial(truediv, 1, 0), "ZeroDivisionError: division by zero", id="raises"),
        pytest.param(partial(os._exit, 3), "its process ended: exit status 3", id="ends"),
        pytest.param(partial(sys.exit, "no room"), "its process ended: exit status 1: no room", id="says why"),
        pytest.param(partial(os.abort), "its process ended: killed by SIGABRT", id="dies"),
    ],
)
def test_whatever_becomes_of_it_the_next_one_learns(job, why):
    learner = Learner()
    with pytest.raises(LearningFailed, match=why):
        learner.learn(job)
    assert learner.learn(partial(Fitted, "next", None)).digest == "next"
    assert children() == []


def test_the_traceback_of_a_job_is_told():
    with pytest.raises(LearningFailed) as failed:
        Learner().learn(partial(truediv, 1, 0))
    assert "Traceback" in failed.value.__notes__[0]


def test_one_that_hangs_is_killed():
    with pytest.raises(LearningFailed, match=r"no answer within 0\.5 s"):
        Learner(longest_s=0.5).learn(partial(time.sleep, 600))
    assert children() == []


ENDS = {"closed": lambda learner, _: learner.close(), "killed": lambda _, child: child.kill()}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_one_that_is_ended_is_a_fit_that_failed(end):
    learner, told = Learner(), []

    def ask():
        try:
            learner.learn(partial(time.sleep, 600))
        except LearningFailed as failed:
            told.append(str(failed))

    asking = threading.Thread(target=ask)
    asking.start()
    [child] = eventually(children)
    end(learner, child)
    asking.join(SOON_S)
    assert told == ["its process ended: killed by SIGKILL"]
    assert children() == []


def test_after_its_end_nothing_is_learned():
    learner = Learner()
    learner.close()
    with pytest.raises(LearningFailed, match="the controller ends"):
        learner.learn(dict)


ASKS = "import time; from functools import partial; from autoscaler.service.learner import Learner; Learner().learn"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "terminated"])
def test_nothing_is_left_of_it_when_the_controller_is_gone(how):
    with subprocess.Popen([sys.executable, "-c", f"{ASKS}(partial(time.sleep, 600))"]) as controller:
        [child] = eventually(lambda: children(controller.pid))
        controller.send_signal(how)
    eventually(lambda: not child.is_running())


AS_A_CONTROLLER = f"""
import sys
from functools import partial
import numpy as np
from autoscaler.forecast.leadtime import Windows
from autoscaler.forecast.series import LoadSeries
from autoscaler.policies.predictive import PredictivePolicy
from autoscaler.policies.predictive.learn import learn
from autoscaler.service.learner import Learner
from autoscaler.service.process import Controller

{inspect.getsource(lesson)}
forest = Learner().learn(lesson()).model.forest
forest.histograms(forest.leaves(np.zeros((1, forest.columns))))
print(sorted({{"sklearn", "scipy"}} & set(sys.modules)))
"""


def test_the_controller_itself_does_without_what_learning_takes():
    asked = [sys.executable, "-c", AS_A_CONTROLLER]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
