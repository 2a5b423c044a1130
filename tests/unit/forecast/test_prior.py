"""The forest learned over other services: what its leaves say, what is shipped, and what is refused."""

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.forecast.bins import BINS, CENTRES, bin_of
from autoscaler.forecast.prior import Lesson, fit
from autoscaler.forecast.priorfile import MAX_BYTES, decode, digest, encode, load
from autoscaler.forecast.scalefree import COLUMNS
from autoscaler.forecast.trees import Settings
from autoscaler.model import InvalidInput
from autoscaler.spec.load import shipped_prior


@pytest.fixture(scope="module")
def lesson():
    """Both outcomes follow the first feature, the second at half its pace."""
    random = np.random.default_rng(5)
    features = random.normal(size=(4000, COLUMNS))
    first = features[:, 0] + 0.1 * random.normal(size=4000)
    return Lesson(features, np.column_stack([first, 0.5 * first]), random.uniform(0.5, 2.0, 4000))


def grown(lesson, **settings):
    return fit(lesson, lead_s=15.0, interval_s=5.0, seed=1, settings=Settings(**{"trees": 8, **settings}))


def test_a_forecast_is_a_distribution_that_follows_its_feature(lesson):
    model = grown(lesson, min_rows_a_leaf=50, features_a_split=1.0)
    means = []
    for value in (-1.0, 0.0, 1.0):
        row = np.zeros(COLUMNS)
        row[0] = value
        order, hold = model.histograms(row)
        assert order.sum() == pytest.approx(1.0)
        assert hold.sum() == pytest.approx(1.0)
        means.append((float(order @ CENTRES), float(hold @ CENTRES)))
    assert np.array(means) == pytest.approx(np.array([(-1, -0.5), (0, 0), (1, 0.5)]), abs=0.2)


def test_one_leaf_keeps_the_weighted_frequencies_within_a_step(lesson):
    model = grown(lesson, min_rows_a_leaf=4000)
    order, _ = model.histograms(np.zeros(COLUMNS))
    expected = np.bincount(bin_of(lesson.outcomes[:, 0]), lesson.weights, BINS) / lesson.weights.sum()
    np.testing.assert_allclose(order, expected, rtol=0.06)


def test_a_file_gives_back_the_models_and_equal_models_give_equal_files(lesson):
    data = encode((grown(lesson),))
    assert data == encode((grown(lesson),))
    (model,) = decode(data).models
    row = np.random.default_rng(2).normal(size=COLUMNS)
    np.testing.assert_array_equal(model.histograms(row), grown(lesson).histograms(row))
    assert model.trees.depth == grown(lesson).trees.depth


@pytest.mark.parametrize(
    ("lead_s", "interval_s", "found_s"),
    [
        pytest.param(15.0, 5.0, 15.0, id="the same lead"),
        pytest.param(19.0, 5.0, 15.0, id="27 % longer"),
        pytest.param(20.0, 5.0, None, id="33 % longer"),
        pytest.param(25.0, 5.0, None, id="between both"),
        pytest.param(36.0, 5.0, 45.0, id="25 % shorter"),
        pytest.param(15.0, 15.0, None, id="other intervals"),
    ],
)
def test_the_shipped_forest_that_serves_a_lead_time(lead_s, interval_s, found_s):
    found = load(shipped_prior()).nearest(lead_s, interval_s)
    assert (found and found.lead_s) == found_s


def test_what_is_shipped_is_small_and_named_in_its_card():
    data = shipped_prior().read_bytes()
    assert len(data) < MAX_BYTES
    assert digest(data) == load(shipped_prior()).digest
    assert f"Digest `{digest(data)}`" in shipped_prior().with_suffix(".md").read_text()


def test_what_is_shipped_holds_thresholds_and_frequencies_alone():
    with np.load(shipped_prior(), allow_pickle=False) as arrays:
        kinds = {name.partition(".")[2] for name in arrays if name != "models"}
        assert kinds == {"roots", "feature", "threshold", "children", "masses"}
        assert json.loads(arrays["models"].tobytes()) == [
            {"lead_s": 15.0, "interval_s": 5.0},
            {"lead_s": 45.0, "interval_s": 5.0},
        ]


@given(st.integers(0, 10_000), st.sampled_from([0, 1]))
def test_whatever_is_seen_the_shipped_forecast_is_a_distribution(seed, number):
    model = load(shipped_prior()).models[number]
    for histogram in model.histograms(np.random.default_rng(seed).normal(scale=10, size=COLUMNS)):
        assert histogram.sum() == pytest.approx(1.0)
        assert (histogram >= 0).all()


def changed(data, **arrays):
    """The file with other arrays in it; None leaves one out."""
    with np.load(io.BytesIO(data)) as known:
        parts = {name: known[name] for name in known}
    for name, change in arrays.items():
        key = "models" if name == "models" else f"0.{name}"
        parts[key] = change(parts[key])
    file = io.BytesIO()
    np.savez(file, **{name: part for name, part in parts.items() if part is not None})
    return file.getvalue()


def endless(children):
    """The first root is its own right child."""
    return np.concatenate([children[:1], [0], children[2:]]).astype(np.int32)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"not an archive", id="no archive"),
        pytest.param(lambda data: data[: len(data) // 2], id="cut off"),
        pytest.param(lambda data: changed(data, roots=lambda _: None), id="a part is missing"),
        pytest.param(lambda data: changed(data, models=lambda _: np.frombuffer(b"[1]", np.uint8)), id="no heads"),
        pytest.param(lambda data: changed(data, feature=lambda a: a + COLUMNS), id="a feature that is not there"),
        pytest.param(lambda data: changed(data, children=lambda a: a - 1), id="a node before the first"),
        pytest.param(lambda data: changed(data, children=lambda a: a + np.int32(2)), id="a node after the last"),
        pytest.param(lambda data: changed(data, children=endless), id="a walk without end"),
        pytest.param(lambda data: changed(data, roots=lambda a: a + 10**6), id="a root that is not there"),
        pytest.param(lambda data: changed(data, masses=lambda a: a[1:]), id="a leaf without outcomes"),
        pytest.param(lambda data: changed(data, masses=lambda a: a * 0), id="outcomes without mass"),
        pytest.param(lambda data: changed(data, threshold=lambda a: a.astype(object)), id="a pickle"),
        pytest.param(lambda data: data + bytes(MAX_BYTES), id="too large"),
    ],
)
def test_any_other_file_is_refused(lesson, tmp_path, spoil):
    file = tmp_path / "odd.npz"
    file.write_bytes(spoil(encode((grown(lesson, min_rows_a_leaf=100),))))
    with pytest.raises(InvalidInput, match=r"odd\.npz: "):
        load(file)


def test_a_file_that_would_swell_is_refused(tmp_path):
    file = tmp_path / "bomb.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("models.npy", bytes(80 << 20))
    with pytest.raises(InvalidInput, match="unpacked"):
        load(file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"none\.npz: cannot be read"):
        load(tmp_path / "none.npz")
