"""Every array of the reference cases, made by upstream's own network classes on the tiny model.

Tolerances are the cases' README's: durations exactly, floats within 2e-5 of the array's largest value, PCM within 2.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from inference_server.engines.emotivoice.synthesis import Piece, Voice

CASES = Path(__file__).parents[2] / "data" / "emotivoice" / "cases"
NAMES = sorted(path.stem for path in CASES.glob("*.npz") if path.stem != "style_cases")
FLOATS = (
    "encoder_out",
    "projected",
    "log_duration",
    "pitch",
    "energy",
    "pitch_embedding",
    "energy_embedding",
    "upsampled",
    "decoder_out",
    "mel",
    "wav",
)


def case(name):
    with np.load(CASES / f"{name}.npz") as stored:
        return {key: stored[key] for key in stored.files}


def overrides(stored):
    return {key.removeprefix("override:"): value for key, value in stored.items() if key.startswith("override:")}


def assert_same(got, want):
    np.testing.assert_array_equal(got["duration"], want["duration"])
    for key in FLOATS:
        assert got[key].shape == want[key].shape, key
        assert np.abs(got[key] - want[key]).max() <= 2e-5 * np.abs(want[key]).max(), key
    assert_same_pcm(got["pcm"], want)


def assert_same_pcm(got, want):
    assert got.dtype == np.int16
    assert got.shape == want["pcm"].shape
    difference = np.abs(got.astype(int) - want["pcm"].astype(int))
    # Where upstream wraps full scale around to its opposite, it is clipped here.
    wrapped = (want["pcm"] == -32768) & (want["wav"] > 0.9999) & (got >= 32765)
    assert (difference[~wrapped] <= 2).all()


def test_there_are_cases():
    assert len(NAMES) == 18


@pytest.mark.parametrize("name", NAMES)
def test_one_sentence(name, reference, model_root):
    want = case(name)
    got = reference.impl(
        model_root, want["ids"].tolist(), int(want["speaker"]), want["style"], want["content"], overrides(want)
    )
    assert_same(got, want)


def test_a_padded_batch_equals_its_sentences(reference, model_root):
    wanted = [want for name in NAMES if not overrides(want := case(name))]
    items = [(want["ids"].tolist(), int(want["speaker"]), want["style"], want["content"]) for want in wanted]
    for got, want in zip(reference.batch(model_root, items), wanted, strict=True):
        assert_same(got, want)


def test_full_scale_is_clipped_not_wrapped(reference, model_root):
    want = case("saturated")
    got = reference.impl(
        model_root, want["ids"].tolist(), int(want["speaker"]), want["style"], want["content"], overrides(want)
    )
    assert got["pcm"][want["wav"] == 1.0].tolist() == [32767] * int((want["wav"] == 1.0).sum())


def test_the_synthesizer_makes_the_same_sound(synthesizer):
    """Through text vectors, batching and the vocoder of the real path, for the cases whose vectors come from texts."""
    wanted = [want for name in NAMES if not overrides(want := case(name)) and want["from_text"].all()]
    table = synthesizer._acoustic.spk_tokenizer.weight
    pieces = [
        Piece(
            text=str(want["content_text"]),
            ids=tuple(want["ids"].tolist()),
            voice=Voice("of the case", table[int(want["speaker"])]),
            prompt=str(want["style_text"]),
            speed=1.0,
        )
        for want in wanted
    ]
    assert len(pieces) >= 4
    for got, want in zip(synthesizer.render(pieces), wanted, strict=True):
        assert_same_pcm(got, want)


class TestStyleEncoder:
    stored = case("style_cases")
    texts = sorted(key[:2] for key in stored if key.endswith(":text"))
    rows = sorted(key.removesuffix(":input_ids") for key in stored if key.endswith(":input_ids"))

    @pytest.mark.parametrize("key", texts)
    def test_pieces(self, key, reference, model_root):
        want = self.stored[f"{key}:input_ids"].tolist()
        assert reference.tokenize(model_root, str(self.stored[f"{key}:text"])) == want

    @pytest.mark.parametrize("key", rows)
    def test_vector(self, key, reference, model_root):
        want = self.stored[f"{key}:embedding"]
        got = reference.style(model_root, self.stored[f"{key}:input_ids"].tolist())
        assert np.abs(got - want).max() <= 2e-5 * np.abs(want).max()

    def test_a_padded_batch_equals_its_texts(self, networks):
        rows = [self.stored[f"{key}:input_ids"].tolist() for key in self.rows]
        with torch.inference_mode():
            got = networks.style.encode(rows, torch.device("cpu")).numpy()
        for vector, key in zip(got, self.rows, strict=True):
            want = self.stored[f"{key}:embedding"]
            assert np.abs(vector - want).max() <= 2e-5 * np.abs(want).max(), key
