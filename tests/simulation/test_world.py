"""The ports of the controller as the simulation plays them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from simulation.cases import TTS, scripted, steady

from autoscaler.loop import begin, tick
from autoscaler.model import Batching, Cause, Phase, Relabel, Routing, Scale
from simulations.draw import draw
from simulations.run import Case, Record, run
from simulations.traffic import Trace
from simulations.world import Conditions, World, first_pods, step_of


def world(trace=None, workload=TTS, **conditions):
    trace = trace or steady(10.0)
    return World(trace.name, draw(trace, workload, 1), workload, 1, Conditions(**conditions))


def ports(of):
    return of.ports(Record(0.0))


def scrapes(of, after_s=-math.inf, until_s=math.inf):
    made = ports(of)
    return made.signals.read(after_s, until_s, made.fleet.read())


# ---------------------------------------------------------------- scrapes


@pytest.mark.parametrize(
    ("conditions", "at_s", "times"),
    [
        ({}, 3.0, [0]),
        ({}, 18.0, [0, 5, 10, 15]),
        ({}, 15.4, [0, 5, 10]),
        ({}, 15.5, [0, 5, 10, 15]),
        ({"scrape_s": 15.0, "scrape_phase_s": 2.0}, 48.0, [2, 17, 32, 47]),
        ({"visible_after_s": 4.0}, 18.0, [0, 5, 10]),
    ],
)
def test_a_scrape_is_seen_when_it_can_be_queried(conditions, at_s, times):
    now = world(**conditions)
    now.advance(at_s)
    assert [scrape.at_s for scrape in scrapes(now).scrapes] == times


def test_each_scrape_is_read_once_and_within_the_asked_time():
    now = world()
    now.advance(30.0)
    made = ports(now)
    fleet = made.fleet.read()
    assert [s.at_s for s in made.signals.read(5.0, 15.0, fleet).scrapes] == [10, 15]
    assert [s.at_s for s in made.signals.read(15.0, 30.0, fleet).scrapes] == [20, 25]


def test_scrapes_speak_clock_time():
    trace = replace(steady(10.0, history_s=100), start_s=1_700_000_000.0)
    now = world(trace)
    now.advance(8.0)
    assert [scrape.at_s for scrape in scrapes(now).scrapes] == [1_700_000_100.0, 1_700_000_105.0]
    assert ports(now).clock.now_s() == 1_700_000_108.0


def test_a_scrape_says_what_has_happened():
    now = world(steady(30.0))
    now.advance(200.5)
    last = scrapes(now).scrapes[-1]
    traffic = draw(steady(30.0), TTS, 1)
    finish_s = now.engine.finish_s
    came = traffic.arrival_s <= 200.0
    answered = finish_s <= 200.0
    latency_s = (finish_s - traffic.arrival_s)[answered]
    assert last.received == came.sum()
    assert last.completed == answered.sum()
    assert last.late == (latency_s > 0.8).sum()
    assert last.left == 0
    assert last.in_flight == last.received - last.completed
    assert last.queued + last.busy == last.in_flight
    assert last.service_s == pytest.approx(traffic.service_s[answered].sum())
    here_s = np.minimum(np.nan_to_num(finish_s[came], nan=200.0), 200.0) - traffic.arrival_s[came]
    assert last.concurrency_s == pytest.approx(here_s.sum())
    in_slots_s = np.clip(200.0 - (finish_s - traffic.service_s), 0.0, traffic.service_s)
    assert last.busy_s == pytest.approx(np.nansum(in_slots_s))
    edges_s = np.array(scrapes(world()).edges_s)
    for histogram, values in [(last.latency, latency_s), (last.service, traffic.service_s[answered])]:
        counts = [(values <= edge).sum() for edge in edges_s]
        assert histogram.counts == (*counts, len(values))


def test_the_histograms_have_an_edge_at_the_objective():
    assert 0.77 in scrapes(world(workload=replace(TTS, objective_s=0.77))).edges_s


def test_gpu_use_is_the_share_of_time_that_loaded_pods_are_busy():
    now = world(steady(20.0, 2000))
    now.advance(1999.5)
    use = [scrape.gpu_use_ratio for scrape in scrapes(now).scrapes[20:]]
    assert np.mean(use) == pytest.approx(
        20 * 0.18 / first_pods(draw(steady(20.0), TTS, 1), TTS, Conditions()), rel=0.05
    )


def test_lost_scrapes_are_not_there_and_a_long_silence_is_a_problem():
    now = world(steady(10.0, 2000), lost_ratio=0.5)
    now.advance(1990.5)
    found = scrapes(now)
    assert 150 < len(found.scrapes) < 250
    silent = world(lost_ratio=1.0)
    silent.advance(60.0)
    (problem,) = scrapes(silent).problems
    assert (problem.signal, problem.missing.cause) == ("received", Cause.STALE)


def test_on_time_there_is_no_problem():
    now = world()
    made = ports(now)
    for at_s in np.arange(3.0, 100.0, 2.0):
        now.advance(at_s)
        assert made.signals.read(-math.inf, at_s, made.fleet.read()).problems == ()


# ---------------------------------------------------------------- pods


def apply(of, *actions):
    return [outcome.done for outcome in ports(of).actuator.apply(actions)]


def phases(of):
    return [pod.phase for pod in ports(of).fleet.read().pods]


def test_scaling_orders_and_drops_pods():
    now = world(steady(1.0))
    apply(now, Scale(4, 1, ""))
    assert phases(now) == [Phase.SERVING, *[Phase.STARTING] * 3]
    assert ports(now).fleet.read().replicas == 4
    now.advance(60.0)
    assert phases(now) == [Phase.SERVING] * 4
    apply(now, Scale(2, 4, ""))
    assert ports(now).fleet.read().replicas == 2


def test_a_gated_pod_stands_by_until_it_is_promoted():
    now = world(steady(1.0))
    made = ports(now)
    made.actuator.apply((Scale(2, 1, ""),))
    new = made.fleet.read().of(Phase.STARTING)[0]
    assert apply(now, Relabel(new.name, new.uid, "", "standby")) == [True]
    assert made.fleet.read().of(Phase.STARTING)[0].gated
    now.advance(60.0)
    (standby,) = made.fleet.read().of(Phase.STANDBY)
    assert standby.loaded_at_s is not None
    assert apply(now, Relabel(standby.name, standby.uid, "", "serving")) == [True]
    assert made.fleet.read().count(Phase.SERVING) == 2
    assert np.isnan(now.engine.pod_log().serving_s[1])
    now.advance(61.5)
    assert now.engine.pod_log().serving_s[1] == 61.0


@pytest.mark.parametrize("routing", [Routing.SHARED_QUEUE, Routing.LEAST_OUTSTANDING])
def test_a_serving_pod_that_stands_by_again_finishes_what_it_holds_and_gets_no_more(routing):
    now = world(steady(30.0), replace(TTS, routing=routing))
    now.advance(100.0)
    pod = ports(now).fleet.read().pods[-1]
    assert apply(now, Relabel(pod.name, pod.uid, "", "standby")) == [True]
    now.advance(200.0)
    served = now.engine.served_by == int(pod.uid)
    assert draw(steady(30.0), TTS, 1).arrival_s[served].max() <= 100.0
    assert np.isfinite(now.engine.finish_s[served]).all()
    assert now.engine.finish_s[served].max() > 100.0
    assert apply(now, Relabel(pod.name, pod.uid, "", "serving")) == [True]
    now.advance(300.0)
    assert draw(steady(30.0), TTS, 1).arrival_s[now.engine.served_by == int(pod.uid)].max() > 290.0
    away = now.engine.pod_log().away
    assert (away.pod.tolist(), away.out_s.tolist(), away.back_s.tolist()) == ([int(pod.uid) - 1], [100.0], [201.0])


def test_a_replay_drains_by_the_scale_alone():
    now = world(steady(1.0))
    pod = ports(now).fleet.read().pods[0]
    assert apply(now, Relabel(pod.name, pod.uid, "", "draining")) == [False]


def test_the_fleet_is_looked_at_again_only_when_a_pod_has_changed():
    now = world(steady(1.0))
    fleet = ports(now).fleet
    first = fleet.read()
    now.advance(10.0)
    assert fleet.read() is first
    now.engine.order(1)
    second = fleet.read()
    assert second.replicas == 2
    assert second.pods[0] is first.pods[0]


@pytest.mark.parametrize(
    ("conditions", "stuck"),
    [
        ({}, False),
        ({"gpus": 1}, True),
        ({"hang_ratio": 1.0}, True),
        ({"fail_ratio": 1.0}, True),
    ],
    ids=["loads", "no GPU", "hangs", "crashes"],
)
def test_a_start_that_will_not_end_is_stuck(conditions, stuck):
    now = world(steady(1.0), **conditions)
    fleet = ports(now).fleet
    apply(now, Scale(2, 1, ""))
    fleet.read()
    now.advance(200.0)
    assert [pod.stuck for pod in fleet.read().pods] == [False, stuck]


def test_a_pod_without_gpu_costs_nothing_and_gets_the_next_free_one():
    now = world(steady(1.0), gpus=1)
    apply(now, Scale(3, 1, ""))
    now.advance(100.0)
    apply(now, Scale(0, 3, ""))
    apply(now, Scale(1, 0, ""))
    now.advance(101.0)
    log = now.engine.pod_log()
    assert np.isnan(log.placed_s[1:3]).all()
    assert log.placed_s[3] >= 100.0


# ---------------------------------------------------------------- the beginning


@pytest.mark.parametrize(
    ("rate_rps", "workload", "pods"),
    [
        (10.0, TTS, 3),  # 1.8 / 0.7
        (0.0, TTS, 1),
        (40.0, replace(TTS, concurrency=4), 3),  # 7.2 / 4 / 0.7
        (1000.0, TTS, 60),
    ],
    ids=["busy to 0.7", "at least one", "slots count", "at most the maximum"],
)
def test_the_run_starts_with_the_pods_of_the_first_minute(rate_rps, workload, pods):
    now = world(steady(rate_rps), workload)
    assert phases(now) == [Phase.SERVING] * pods


@pytest.mark.parametrize(("duration_s", "step_s"), [(600, 5), (3600, 5), (172_800, 60), (30 * 86_400, 3600)])
def test_a_timeline_has_round_steps(duration_s, step_s):
    assert step_of(duration_s) == step_s


def test_ticks_fall_three_seconds_after_the_grid():
    seen = []
    run(Case(steady(1.0), TTS, "x", scripted((-math.inf, 1, 0), tick_s=15.0, seen=seen)))
    assert [observation.at_s for observation in seen] == [3.0 + 15.0 * number for number in range(40)]
    assert [scrape.at_s for scrape in seen[1].signals.scrapes] == [5.0, 10.0, 15.0]


def test_the_loop_runs_on_these_ports():
    now = world(steady(1.0))
    made, target = ports(now), scripted((-math.inf, 2, 1))(None)
    state = begin(target, made.clock.now_s())
    for at_s in (3.0, 8.0, 60.0, 65.0):
        now.advance(at_s)
        state = tick(target, made, state)
    fleet = made.fleet.read()
    assert (fleet.count(Phase.SERVING), fleet.count(Phase.STANDBY)) == (2, 1)


@pytest.mark.parametrize("routing", list(Routing))
def test_every_routing_can_be_replayed(routing):
    case = Case(steady(20.0), replace(TTS, routing=routing), "x", scripted((-math.inf, 12, 0)))
    assert run(case).figures.missed_ratio < 0.02


def test_batches_serve_what_single_slots_cannot():
    trace = Trace("heavy", 1.0, np.full(600, 30.0))
    single = run(Case(trace, TTS, "x", scripted((-math.inf, 4, 0)))).figures
    batched = replace(TTS, batching=Batching(8, 0.6))
    assert (
        single.missed_ratio
        > 0.9
        > 0.1
        > run(Case(trace, batched, "x", scripted((-math.inf, 4, 0)))).figures.missed_ratio
    )


def test_requests_of_a_batch_are_told_from_long_ones_by_the_busy_time_of_slots():
    many = Trace("heavy", 1.0, np.full(200, 25.0))  # 4.5 at a time on the one pod of these replays
    for served, least, most in ((TTS, 0.9, 1.1), (replace(TTS, batching=Batching(8, 1.0)), 4.5, 6.5)):
        here = world(many, served, start_use_ratio=5.0)
        here.advance(200.0)
        last = scrapes(here).scrapes[-1]
        assert least < last.service_s / last.busy_s < most
