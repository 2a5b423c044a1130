"""The comparison's page says what was measured, names what was not, and counts what the protocol counts."""

from dataclasses import replace
from pathlib import Path

import pytest
from simulation.cases import TTS, steady

from autoscaler.model import InvalidInput
from autoscaler.spec import find_policy
from simulations import search, shipped, table, trials, tuned
from simulations.hindsight import Score
from simulations.peers import Family, Fixed, Hpa, Kpa
from simulations.report import contest
from simulations.report.contest import Kind
from simulations.store import Store
from simulations.trials import Case, Trial, Trials
from simulations.tuned import Baseline, Common, Found, Shipped, Tuned
from simulations.workers import Workers, finish

TRACES = ("calm_one", "busy_one", "spikes")
AS_SHIPPED = {
    "predictive": (1.1, 1.2, 2.0),
    "hpa": (1.4, 1.5, 1.0),
    "keda": (1.4, 1.5, 1.0),
    "kpa": (1.6, 2.0, 1.0),
    "fixed": (3.0, 5.0, 9.0),
}
BASES = [Baseline(trace, "tts", trace != "spikes", 0.01, 10.0) for trace in TRACES]


def score(setting, cost, missed=0.008, starts=3.0):
    return Score(setting, (Trial(missed, 10 * cost, starts),))


def as_shipped(policy, costs, missed=0.005):
    return [
        Shipped(policy, trace, "tts", (1, 2, 3), missed, 10 * cost, 4.0, "abc")
        for trace, cost in zip(TRACES, costs, strict=True)
    ]


def whole() -> Found:
    found = Found(code="abc", seeds=(1, 2, 3))
    for base, cost in zip(BASES, (1.2, 1.6, 9.0), strict=True):
        settings = {
            Family.FIXED: Fixed(9),
            Family.HPA: Hpa(0.7),
            Family.KEDA: Hpa(0.7, family=Family.KEDA),
            Family.KPA: Kpa(0.6),
        }
        costs = {Family.FIXED: 3 * cost, Family.HPA: cost, Family.KEDA: cost + 0.1, Family.KPA: cost - 0.1}
        found = found.with_tuned(base, [Tuned(base.trace, "tts", f, score(s, costs[f])) for f, s in settings.items()])
    for family, setting in settings.items():
        scores = {trace: score(setting, 2.0, missed) for trace, missed in zip(TRACES[:2], (0.008, 0.02), strict=True)}
        found = found.with_common(BASES, [Common("tts", family, scores)])
    for policy, costs in AS_SHIPPED.items():
        found = found.with_shipped(BASES, as_shipped(policy, costs, 0.03 if policy == "hpa" else 0.005))
    return found


def line_of(page: str, begin: str) -> str:
    return next(line for line in page.splitlines() if line.startswith(begin))


def test_a_page_of_nothing_is_a_page():
    assert table.page(Found(), "abc").startswith("# The comparison over all recorded traces")


def test_a_whole_page_lacks_nothing():
    page = table.page(whole(), "abc")
    assert "Not complete" not in page
    assert "digest" not in page


@pytest.mark.parametrize(
    ("without", "named"),
    [
        pytest.param(
            lambda f: replace(f, shipped=f.shipped[5:]), "tts: predictive as shipped on busy\\_one", id="a trace"
        ),
        pytest.param(lambda f: replace(f, common=()), "tts: kpa one common setting", id="common settings"),
        pytest.param(lambda f: replace(f, tuned=()), "tts: hpa tuned on each trace", id="tuned settings"),
        pytest.param(
            lambda f: replace(f, shipped=tuple(each for each in f.shipped if each.policy != "predictive")),
            "tts: predictive as shipped",
            id="ours",
        ),
        pytest.param(
            lambda f: replace(f, shipped=tuple(replace(each, seeds=(1, 3)) for each in f.shipped)),
            "tts: predictive as shipped on 3 traces with seed 2",
            id="a seed",
        ),
    ],
)
def test_what_was_not_measured_is_named(without, named):
    found = without(whole())
    page = table.page(replace(found, shipped=tuple(e for e in found.shipped)), "abc")
    assert f"- {named}" in page


def test_other_code_is_said():
    assert "the code of digest `abc`, it is `def` now" in table.page(whole(), "def")


def test_misses_beyond_the_objective_are_bold_and_traces_that_do_not_count_in_italics():
    page = table.page(whole(), "abc")
    assert line_of(page, "| *spikes*").startswith("| *spikes* | 2.00× / 0.50 % / 4.0 | 9.00× / 0.80 % / 3.0")
    assert "1.40× / **3.00 %**" in page


def test_ours_is_held_against_the_cheapest_tuned_peer_of_each_trace():
    all_ = contest.contenders(whole(), "tts")
    assert contest.against_cheapest(all_, TRACES[:2]) == pytest.approx({"calm_one": 1.1 / 1.1, "busy_one": 1.2 / 1.5})
    assert contest.cheapest(all_, "calm_one")[0] == "kpa"


def test_a_trace_on_which_a_family_was_not_tuned_has_no_cheapest_peer():
    found = whole()
    lacking = [each for each in found.tuned if (each.trace, each.family) != ("calm_one", Family.KPA)]
    all_ = contest.contenders(replace(found, tuned=tuple(lacking)), "tts")
    assert contest.cheapest(all_, "calm_one") is None
    assert list(contest.against_cheapest(all_, TRACES[:2])) == ["busy_one"]


def test_means_are_over_the_traces_that_count():
    all_ = contest.contenders(whole(), "tts")
    total = contest.overall(contest.ours(all_), TRACES[:2])
    assert (total.traces, total.kept, total.cost_ratio) == (2, 2, pytest.approx(1.15))
    hpa = next(each for each in all_ if (each.name, each.kind) == ("hpa", Kind.COMMON))
    assert contest.overall(hpa, TRACES[:2]).kept == 1
    assert contest.against(contest.ours(all_), hpa, TRACES[:2]) == (2, pytest.approx(1.15 / 2.0))


def test_a_mean_over_some_of_the_traces_is_not_shown():
    found = replace(whole(), shipped=())
    found = found.with_shipped(BASES, as_shipped("predictive", (1.1, 1.2, 2.0))[:1])
    assert "| **predictive** | as shipped | 1 of 1 | – | – |" in table.page(found, "abc")


def test_out_of_reach_is_no_gap():
    found = whole().with_tuned(BASES[2], [Tuned("spikes", "tts", family, None) for family in Family])
    page = table.page(found, "abc")
    assert "Not complete" not in page
    assert "out of reach | out of reach" in line_of(page, "| *spikes*")


def test_the_command_merges_both_files(tmp_path):
    found = whole()
    tuned.save(tmp_path / "peers.json", replace(found, shipped=()))
    tuned.save(tmp_path / "shipped.json", Found().with_shipped(BASES, found.shipped))
    options = ["--peers", str(tmp_path / "peers.json"), "--shipped", str(tmp_path / "shipped.json")]
    assert table.main([*options, "--write", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == table.page(found, trials.code_digest())


# --- policies as they ship ---------------------------------------------------------------------------------------


def test_means_are_over_the_seeds_that_are_there(tmp_path):
    wanted = shipped.replays(["fixed"], [Case(steady(5.0), TTS)], (1, 2), tmp_path)
    store = Store(tmp_path / "store")
    assert list(shipped.shipped(wanted, store)) == []
    list(finish(wanted[:1], store, Workers(cores=1)))
    (one,) = shipped.shipped(wanted, store)
    assert (one.policy, one.seeds) == ("fixed", (1,))
    list(finish(wanted, store, Workers(cores=1)))
    (both,) = shipped.shipped(wanted, store)
    assert both.seeds == (1, 2)
    assert both.pod_hours == pytest.approx(23 * 480 / 3600)


@pytest.mark.parametrize(
    ("history_s", "left_out"),
    [pytest.param(3 * 86400, True, id="three days"), pytest.param(4 * 86400, False, id="four days")],
)
def test_where_history_is_short_others_teach_without_the_family(tmp_path, monkeypatch, history_s, left_out):
    asked = []

    def make(folder: Path, leave_out, seed):
        asked.append(leave_out)
        folder.mkdir(parents=True)
        (folder / "services.npz").write_bytes(b"")

    monkeypatch.setattr("simulations.prior.make", make)
    trace = replace(steady(5.0, name="azure_llm_conv_2023"), eval_start_s=float(history_s))
    (replay,) = shipped.replays(["predictive"], [Case(trace, TTS)], (1,), tmp_path)
    assert replay.policy.name == "predictive"
    assert asked == ([["azure_"]] if left_out else [])
    assert (replay.policy.prior == find_policy("predictive-tts").prior) is not left_out


def test_the_command_replays_once_and_writes_what_is_there(tmp_path, monkeypatch):
    options = ["--policies", "fixed", "--traces", "demo-burst", "--workloads", "tts", "--seeds", "1"]
    options += ["--out", str(tmp_path / "out"), "--data", str(tmp_path / "data" / "shipped.json")]
    assert shipped.main(options) == 0
    found = tuned.load(tmp_path / "data" / "shipped.json")
    assert [each.place for each in found.shipped] == [("tts", "demo-burst", "fixed")]
    assert [each.trace for each in found.baselines] == ["demo-burst"]
    monkeypatch.setattr("simulations.replay.Replay.run", lambda *_: pytest.fail("was replayed before"))
    assert shipped.main(options) == 0


# --- what is committed -------------------------------------------------------------------------------------------

DATA = Path(__file__).parents[2] / search.DATA


@pytest.mark.shared
@pytest.mark.parametrize("trace", ["azure_llm_conv_2023", "mooncake_conversation"])
@pytest.mark.parametrize("workload", ["tts", "asr"])
def test_the_committed_winners_of_an_hour_are_what_this_code_finds(shared, tmp_path, trace, workload):
    (case,) = search.cases_of(str(shared / "traces" / f"{trace}.csv.gz"), workload)
    measure = Trials(case, tmp_path)
    winners = [each.score for each in tuned.load(DATA).tuned if (each.trace, each.workload) == (trace, workload)]
    assert winners
    for score_ in winners:
        again, before = measure(score_.setting, 1), score_.trials[0]
        assert again.missed_ratio == pytest.approx(before.missed_ratio, abs=1e-6)
        assert again.pod_hours == pytest.approx(before.pod_hours, abs=1e-3)


def test_a_data_file_that_is_none_is_named(tmp_path, capsys):
    (tmp_path / "peers.json").write_text("{")
    assert table.main(["--peers", str(tmp_path / "peers.json"), "--write", str(tmp_path / "page.md")]) == 2
    assert "is not what a search writes" in capsys.readouterr().err
    with pytest.raises(InvalidInput):
        tuned.load(tmp_path / "peers.json")
