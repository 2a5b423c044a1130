"""SenseVoice hears the features that funasr's own front end would have given it."""

from __future__ import annotations

import pytest
import soundfile
import torch

from inference_server.engines.sensevoice import import_auto_model

CONFIG = {"window": "hamming", "lfr_m": 7, "lfr_n": 6, "dither": 0.0}


@pytest.fixture(scope="module")
def front_ends():
    """Theirs and ours by their names in funasr's registry."""
    import_auto_model()
    from funasr.register import tables

    return tables.frontend_classes["WavFrontend"], tables.frontend_classes["TensorFrontend"]


def test_a_padded_batch_of_clips_has_the_same_features(front_ends, digit_clips) -> None:
    folder = digit_clips[0].path.parents[1]
    sounds = [torch.from_numpy(soundfile.read(clip.path, dtype="float32")[0]) for clip in digit_clips[:8]]
    batch = torch.nn.utils.rnn.pad_sequence(sounds, batch_first=True)
    theirs, ours = (
        kind(cmvn_file=str(folder / "am.mvn"), **CONFIG)(batch, [len(sound) for sound in sounds]) for kind in front_ends
    )
    assert ours[1].tolist() == theirs[1].tolist()
    assert ours[0].shape == theirs[0].shape
    assert torch.allclose(ours[0], theirs[0], atol=1e-3)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"window": "povey"}, id="another window"),
        pytest.param({"snip_edges": False}, id="padded edges"),
        pytest.param({"dither": 1.0}, id="noise"),
    ],
)
def test_what_is_not_supported_is_refused_and_not_ignored(front_ends, change) -> None:
    with pytest.raises(ValueError, match="frontend_conf"):
        front_ends[1](**CONFIG | change)
