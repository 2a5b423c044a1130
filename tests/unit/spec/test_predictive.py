"""The predictive rule in a policy file, and what is built from it."""

import pytest

from autoscaler.policies.build import build
from autoscaler.policies.predictive import PredictivePolicy
from autoscaler.spec import find_policy

HEAD = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: mine}
spec:
  workload: {ref: tts}
"""


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        pytest.param("  policy: {type: predictive}\n", None, id="every field has a default"),
        pytest.param("  policy: {type: predictive, missPrice: 2s}\n", None, id="a stated price"),
        pytest.param(
            "  replicas: {min: 0, max: 4}\n  policy: {type: predictive}\n",
            "6:19 spec.replicas.min: 0 — at least 1: with no pod nobody counts the requests to come",
            id="never zero",
        ),
        pytest.param(
            "  replicas: {min: 1, max: 400}\n  policy: {type: predictive}\n", None, id="as many as are weighed"
        ),
        pytest.param(
            "  replicas: {min: 1, max: 401}\n  policy: {type: predictive}\n",
            "6:27 spec.replicas.max: 401 — at most 400 with a predictive policy: it weighs every size",
            id="no more than can be weighed",
        ),
        pytest.param(
            "  policy: {type: predictive}\n  standby: {mode: gated, min: 1, max: 2, price: 0.3}\n",
            None,
            id="spare pods may stand by",
        ),
        pytest.param(
            "  policy: {type: predictive, tick: 1s}\n  standby: {mode: gated, min: 1, max: 2}\n"
            "  signals: {prometheus: {scrapeInterval: 5s}}\n",
            None,
            id="with pods that stand by a tick may be shorter than the scrapes are apart",
        ),
        pytest.param(
            "  policy: {type: predictive, firstPrice: 30s, mostPrice: 20s}\n",
            "6:42 spec.policy.firstPrice: 30s — at most mostPrice, 20s",
            id="prices in order",
        ),
        pytest.param(
            "  policy: {type: predictive, missPrice: 2s, mostPrice: 20s}\n",
            "6:45 spec.policy.mostPrice: belongs to missPrice: auto — a stated price needs no other",
            id="a stated price alone",
        ),
        pytest.param(
            "  policy: {type: predictive}\n  signals: {prometheus: {scrapeInterval: 15s}}\n",
            None,
            id="the default tick gives way to slower scrapes",
        ),
        pytest.param(
            "  policy: {type: predictive, tick: 5s}\n  signals: {prometheus: {scrapeInterval: 15s}}\n",
            "6:36 spec.policy.tick: 5s — at least scrapeInterval, 15s",
            id="a tick sees at least one scrape",
        ),
    ],
)
def test_the_rule(problems, rest, problem):
    assert problems(HEAD + rest) == ([] if problem is None else [f"my.yaml:{problem}"])


@pytest.mark.parametrize("name", ["predictive-tts", "predictive-asr"])
def test_the_shipped_policies_steer_to_their_workloads_objective(name):
    loaded = find_policy(name)
    policy, rails = build(loaded)
    assert isinstance(policy, PredictivePolicy)
    assert policy.settings.price.budget == pytest.approx(0.01)
    assert policy.settings.workload.name == name.removeprefix("predictive-")
    assert (rails.min_replicas, rails.max_replicas) == (1, 60)


def test_the_shipped_reserve_is_read_as_it_stands():
    policy, rails = build(find_policy("holiday-push"))
    settings = policy.settings
    assert (settings.reserve.least, settings.reserve.most, settings.reserve.serving) == (6, 10, 2)
    assert settings.bounds.min_pods == 2
    assert (settings.tick_s, settings.interval_s) == (1.0, 5.0)
    assert (rails.min_replicas, rails.max_replicas) == (8, 12)


def test_a_stated_price_is_not_searched_for(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(HEAD + "  policy: {type: predictive, missPrice: 2s}\n")
    policy, _ = build(find_policy(str(file)))
    assert (policy.settings.price.least, policy.settings.price.start, policy.settings.price.most) == (2.0, 2.0, 2.0)


EVENT = '  policy: {type: predictive, calendar: [{name: push, from: "FROM", to: "TO", LOAD}]}\n'


def calendar(begin="2026-12-24T18:00", end="2026-12-24T18:30", load="requestsPerSecond: 35"):
    return EVENT.replace("FROM", begin).replace("TO", end).replace("LOAD", load)


MOMENT = 'a local time in quotes: once "2026-12-24T18:00", every week "Mon 09:00", every day "09:00"'
AT = "my.yaml:6:"


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        pytest.param(calendar(), None, id="once"),
        pytest.param(calendar("Mon 09:00", "Mon 09:20", "factor: 2.5"), None, id="every week"),
        pytest.param(calendar("23:50", "00:10"), None, id="every day, over midnight"),
        pytest.param(calendar("24 December"), f"60 spec.policy.calendar[0].from: 24 December — {MOMENT}", id="no time"),
        pytest.param(
            calendar("2026-02-30T18:00"), f"60 spec.policy.calendar[0].from: 2026-02-30T18:00 — {MOMENT}", id="no day"
        ),
        pytest.param(
            calendar("Mon 09:00", "10:00"),
            "77 spec.policy.calendar[0].to: 10:00 — written as from is, Mon 09:00",
            id="two kinds of time",
        ),
        pytest.param(
            calendar(end="2026-12-24T17:30"),
            "84 spec.policy.calendar[0].to: 2026-12-24T17:30 — after from, 2026-12-24T18:00",
            id="the end before the beginning",
        ),
        pytest.param(
            calendar(load="factor: 2, requestsPerSecond: 3"),
            "48 spec.policy.calendar[0].name: push has requestsPerSecond and factor — requestsPerSecond or factor",
            id="two loads",
        ),
        pytest.param(
            calendar(load=""),
            "48 spec.policy.calendar[0].name: push has no load — requestsPerSecond or factor",
            id="no load",
        ),
        pytest.param(
            calendar(load="factor: 0.5"), "112 spec.policy.calendar[0].factor: 0.5 — above 1", id="it only adds"
        ),
    ],
)
def test_the_calendar(problems, rest, problem):
    assert problems(HEAD + rest) == ([] if problem is None else [AT + problem])


def test_the_calendar_reaches_the_policy(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(HEAD + "  clock: {timeZone: Europe/Zurich}\n" + calendar("Mon 09:00", "Mon 09:20"))
    policy, _ = build(find_policy(str(file)))
    (event,) = policy.settings.calendar
    assert (event.name, event.rate_rps, event.begin.weekday, str(event.end.at)) == ("push", 35.0, 0, "09:20:00")
    assert str(policy.settings.time_zone) == "Europe/Zurich"
