"""A search in hindsight finds what trying everything finds, with fewer replays, and goes on where it stopped."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulation.cases import ASR, TTS, steady

from autoscaler.model import InvalidInput
from simulations import hindsight, search, spaces, trials, tuned
from simulations.draw import draw
from simulations.hindsight import Criterion, Mark, Score
from simulations.peers import Family, Fixed, Hpa, Kpa, from_json, replayed_as, to_json
from simulations.traffic.find import find
from simulations.trials import Case, Trial, Trials
from simulations.tuned import Baseline, Common, Found, Tuned

RULE = Criterion(seeds=(1, 2, 3), allowed=0.01)
SURGES = find("on-off:low=4,high=25,on=3m,off=3m,for=12m")


class Counted:
    """Figures out of a table; knows what it was asked."""

    def __init__(self, table):
        self.table = table
        self.asked = Counter()

    def __call__(self, setting, seed):
        self.asked[setting, seed] += 1
        return self.table[setting][seed - 1]


def trial(missed, cost):
    return Trial(missed, cost, 0.0)


# --- the criterion ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missed", "kept"),
    [
        pytest.param((0.009, 0.010, 0.010), True, id="each seed within"),
        pytest.param((0.014, 0.008, 0.008), True, id="one seed beyond, the mean within"),
        pytest.param((0.009, 0.009, 0.0125), False, id="two seeds within, the mean beyond"),
        pytest.param((0.0101, 0.0101, 0.0101), False, id="all beyond"),
    ],
)
def test_the_mean_over_the_seeds_decides(missed, kept):
    table = {Fixed(3): [trial(each, 1.0) for each in missed]}
    assert hindsight.judge(Fixed(3), Counted(table), RULE)[1] is kept


@pytest.mark.parametrize(
    ("missed", "asked"),
    [
        pytest.param((0.031, 0.0, 0.0), 1, id="one seed misses for all three"),
        pytest.param((0.02, 0.02, 0.0), 2, id="two do"),
        pytest.param((0.01, 0.01, 0.02), 3, id="it takes all"),
    ],
)
def test_no_seed_is_replayed_once_the_others_have_decided(missed, asked):
    measure = Counted({Fixed(3): [trial(each, 1.0) for each in missed]})
    hindsight.judge(Fixed(3), measure, RULE)
    assert measure.asked.total() == asked


# --- as exhaustive search ----------------------------------------------------------------------------------------

shares = st.floats(0.0, 0.04)
costs = st.floats(1.0, 4.0)
tables = st.lists(st.lists(st.tuples(shares, costs), min_size=3, max_size=3), min_size=1, max_size=8)


def table_of(rows):
    return {Fixed(number + 1): [trial(*cell) for cell in row] for number, row in enumerate(rows)}


@given(tables)
def test_pruning_never_changes_the_cheapest(rows):
    table = table_of(rows)
    scores = [Score(setting, tuple(found)) for setting, found in table.items()]
    within = [score for score in scores if score.missed_ratio * 3 <= 0.03]
    found = hindsight.cheapest(table, Counted(table), RULE)
    if not within:
        assert found is None
    else:
        assert found.pod_hours == pytest.approx(min(score.pod_hours for score in within), rel=1e-12)


@given(limit=st.integers(-150, 17), slope=st.floats(0.01, 2.0), start=st.integers(-120, 10))
def test_the_highest_target_that_keeps_is_found_wherever_the_search_begins(limit, slope, start):
    """Misses that grow by a constant factor and reach the limit just above rung `limit`."""

    def measure(setting, seed):
        rung = hindsight.rung_of(setting)
        return trial(0.01 * 0.97 * 2.718281828 ** (slope * (rung - limit)) if rung <= limit else 0.02, 1.01**-rung)

    found = hindsight.best_target(hindsight.at_rung(Hpa(0.7), start), measure, RULE, 60)
    assert hindsight.rung_of(found.setting) == limit


def test_no_target_is_found_where_none_keeps():
    assert hindsight.best_target(Kpa(0.7), lambda *_: trial(0.05, 1.0), RULE, 60) is None


def test_a_constant_is_searched_pod_by_pod():
    found = hindsight.best_target(Fixed(30), lambda each, _: trial(0.2 / each.replicas**1.5, each.replicas), RULE, 60)
    assert found.setting == Fixed(8)


def test_a_minimum_below_the_constant_is_tried_where_a_step_would_not_lead_there():
    """Fewer than 8 pods miss too much at any target."""

    def measure(setting, seed):
        return trial(0.005 if setting.least >= 8 else 0.02, setting.least / 10 + 0.1)

    limits = hindsight.Limits(60, least_pods=(5, 8, 9))
    found = hindsight.tune([Hpa(0.7, least=10)], measure, RULE, limits)
    assert found.setting.least == 8
    assert hindsight.tune([Hpa(0.7, least=10)], measure, RULE, hindsight.Limits(60)).setting.least == 9


marks = st.lists(st.tuples(st.booleans(), st.floats(1.0, 3.0)), min_size=4, max_size=4)


@given(rows=st.lists(marks, min_size=1, max_size=7), depth=st.integers(1, 3))
def test_the_best_common_settings_are_those_of_exhaustive_search(rows, depth):
    table = {Fixed(number + 1): row for number, row in enumerate(rows)}
    names = "abcd"
    tries = {
        name: lambda setting, at=at: Mark(Score(setting, ()), *table[setting][at]) for at, name in enumerate(names)
    }
    standings = []
    for setting, row in table.items():
        each = hindsight.Standing(setting)
        each.marks = {name: Mark(Score(setting, ()), *cell) for name, cell in zip(names, row, strict=True)}
        standings.append(each)
    most = max(each.kept for each in standings)
    *_, found = hindsight.common(tuple(table), tries, dict.fromkeys(names, 0.9), depth)
    wanted = hindsight.undominated(standings, most - depth)
    assert [(each.kept, each.cost_ratio) for each in found] == [(each.kept, each.cost_ratio) for each in wanted]


def test_a_common_setting_that_cannot_win_is_dropped_before_all_traces_are_replayed():
    asked = Counter()

    def mark(setting, name):
        asked[setting] += 1
        return Mark(Score(setting, ()), kept=setting.target == 0.4, cost_ratio=2.0 - setting.target)

    names = "abcdef"
    tries = {name: lambda setting, name=name: mark(setting, name) for name in names}
    *_, found = hindsight.common(spaces.common(Family.HPA), tries, dict.fromkeys(names, 1.0), 1)
    assert [each.setting.target for each in found] == [0.4]
    assert sum(asked.values()) < len(spaces.common(Family.HPA)) * len(names) / 2


def test_pruned_and_exhaustive_search_agree_on_replayed_traffic(tmp_path):
    case = Case(SURGES, TTS)
    measure = Trials(case, tmp_path)
    candidates = [Hpa(target, stabilization_s=hold) for target in (0.4, 0.6, 0.8) for hold in (0, 300)]
    found = hindsight.cheapest(candidates, measure, replace(RULE, allowed=0.05))
    pruned = measure.replayed
    scores = [Score(each, tuple(measure(each, seed) for seed in RULE.seeds)) for each in candidates]
    best = min((each for each in scores if each.missed_ratio <= 0.05), key=lambda each: each.pod_hours)
    assert found == best
    assert pruned < measure.replayed


# --- replays -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param(Hpa(0.6, family=Family.KEDA), id="quick"),
        pytest.param(Hpa(0.8, window_s=60.0, stabilization_s=0, growth="default", family=Family.KEDA), id="smooth"),
        pytest.param(Hpa(0.7, least=4, stabilization_s=60, family=Family.KEDA), id="never fewer than 4"),
    ],
)
@pytest.mark.parametrize("workload", [TTS, ASR], ids=["tts", "asr"])
def test_keda_with_a_pod_at_least_decides_like_the_hpa_it_keeps(setting, workload):
    case, traffic = Case(SURGES, workload), draw(SURGES, workload, 1)
    assert replayed_as(setting).family is Family.HPA
    assert trials.replay(case, traffic, setting, 1) == trials.replay(case, traffic, replayed_as(setting), 1)


def test_a_finished_replay_is_taken_from_the_folder(tmp_path):
    case = Case(steady(5.0), TTS)
    first = Trials(case, tmp_path)
    found = first(Fixed(3), 1)
    again = Trials(case, tmp_path)
    assert again(Fixed(3), 1) == found
    assert (first.replayed, again.replayed) == (1, 0)


def test_a_replay_whose_line_was_cut_off_is_run_again(tmp_path):
    case = Case(steady(5.0), TTS)
    first = Trials(case, tmp_path)
    first(Fixed(3), 1), first(Fixed(3), 2)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    again = Trials(case, tmp_path)
    again(Fixed(3), 1), again(Fixed(3), 2)
    assert again.replayed == 1


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Case(steady(6.0), TTS), id="traffic"),
        pytest.param(Case(steady(5.0), replace(ASR, name="tts")), id="workload"),
    ],
)
def test_what_was_found_under_other_circumstances_does_not_count(tmp_path, other):
    Trials(Case(steady(5.0), TTS), tmp_path)(Fixed(3), 1)
    again = Trials(other, tmp_path)
    again(Fixed(3), 1)
    assert again.replayed == 1


def test_what_other_code_found_does_not_count(tmp_path, monkeypatch):
    case = Case(steady(5.0), TTS)
    Trials(case, tmp_path)(Fixed(3), 1)
    monkeypatch.setattr("simulations.trials.code_digest", lambda: "other")
    again = Trials(case, tmp_path)
    again(Fixed(3), 1)
    assert again.replayed == 1


def test_a_comment_is_no_other_code():
    assert trials.meaning('def f():\n    """Say."""\n    return 1\n') == trials.meaning("def f():  # say\n    return 1")
    assert trials.meaning("def f():\n    return 1") != trials.meaning("def f():\n    return 2")


# --- what is kept ------------------------------------------------------------------------------------------------

SETTINGS = [Fixed(3), Hpa(0.7), Hpa(0.7, family=Family.KEDA), Kpa(0.61, delay_s=300.0)]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.family.value)
def test_a_setting_is_read_as_it_was_written(setting):
    assert from_json(orjson.loads(orjson.dumps(to_json(setting)))) == setting


@pytest.mark.parametrize(
    "values",
    [{"family": "vpa"}, {"family": "hpa"}, {"target": 1}, {"family": "kpa", "target": 0.5, "colour": "red"}],
    ids=["family", "lacks its target", "lacks its family", "unknown knob"],
)
def test_a_setting_that_is_none_is_named(values):
    with pytest.raises(InvalidInput, match="peer's setting"):
        from_json(values)


def test_what_was_found_is_read_as_it_was_written(tmp_path):
    base = Baseline("a", "tts", counted=True, allowed=0.01, reference_pod_hours=12.5)
    score = Score(Kpa(0.61), (Trial(0.0093, 14.25, 3.5), Trial(0.0101, 14.5, 3.25)))
    found = Found(code="abc", seeds=(1, 2))
    found = found.with_tuned(base, [Tuned("a", "tts", Family.KPA, score), Tuned("a", "tts", Family.HPA, None)])
    found = found.with_common([base], [Common("tts", Family.KPA, {"a": score})])
    tuned.save(tmp_path / "peers.json", found)
    assert tuned.load(tmp_path / "peers.json") == found
    assert found.starts("a", "tts", Family.KPA) == [Kpa(0.61)]
    assert found.starts("a", "tts", Family.HPA) == []


@pytest.mark.parametrize("text", ["", "[]", '{"code": ""}', '{"code":"","seeds":[],"baselines":[{}]}'], ids=range(4))
def test_a_file_that_is_none_is_named(tmp_path, text):
    (tmp_path / "peers.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"peers\.json: is not what a search writes"):
        tuned.load(tmp_path / "peers.json")


# --- the command -------------------------------------------------------------------------------------------------


def command(folder: Path, which: str, *more: str) -> list[str]:
    return [which, "--traces", "demo-burst", "--workloads", "tts", "--seeds", "1,2", "--families", "fixed,hpa,keda",
            "--out", str(folder / "trials"), "--data", str(folder / "peers.json"), *more]  # fmt: skip


def test_the_command_tunes_each_trace_and_then_all_with_one_setting(tmp_path, capsys):
    assert search.main(command(tmp_path, "tuned", "--rounds", "0")) == 0
    assert search.main(command(tmp_path, "common")) == 0
    found = tuned.load(tmp_path / "peers.json")
    assert [each.family for each in found.tuned] == [Family.FIXED, Family.HPA, Family.KEDA]
    constant, hpa, keda = (each.score for each in found.tuned)
    assert max(score.missed_ratio for score in (constant, hpa, keda)) <= 0.01
    assert hpa.pod_hours <= constant.pod_hours
    assert {each.family for each in found.common} == {Family.FIXED, Family.HPA, Family.KEDA}
    assert found.code == trials.code_digest()


def test_the_same_command_again_replays_nothing_and_writes_the_same_file(tmp_path, monkeypatch):
    assert search.main(command(tmp_path, "tuned", "--rounds", "1")) == 0
    first = (tmp_path / "peers.json").read_bytes()
    (tmp_path / "peers.json").unlink()
    monkeypatch.setattr("simulations.trials.replay", lambda *_: pytest.fail("was replayed before"))
    assert search.main(command(tmp_path, "tuned", "--rounds", "1")) == 0
    assert (tmp_path / "peers.json").read_bytes() == first


def test_an_interrupted_search_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("simulations.search.tune", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert search.main(command(tmp_path, "tuned")) == 130
    assert "the same command goes on from there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        pytest.param(["--families", "vpa"], "--families: 'vpa'", id="family"),
        pytest.param(["--traces", "nothing-like-it"], "trace 'nothing-like-it'", id="trace"),
        pytest.param(["--seeds", "one"], "--seeds: 'one'", id="seed"),
    ],
)
def test_bad_input_is_named(tmp_path, capsys, more, problem):
    assert search.main(command(tmp_path, "tuned", *more)) == 2
    assert problem in capsys.readouterr().err
