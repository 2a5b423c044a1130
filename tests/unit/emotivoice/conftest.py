"""The tiny model and the reference cases, and the engine behind the signatures their check script expects.

From this folder, the scripts that came with the cases and the table run against the same functions:
`check_cases.py --impl conftest:run_case --batch conftest:run_batch --style conftest:embed
--tokenize conftest:tokenize`, and `check_table.py conftest:phonemes --cmudict`.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from inference_server.engines.emotivoice import checkpoint
from inference_server.engines.emotivoice.acoustic import sounding, spread
from inference_server.engines.emotivoice.config import ModelDirectory, read_config
from inference_server.engines.emotivoice.cpu_vocoder import CpuVocoder
from inference_server.engines.emotivoice.frontend.phonemizer import load_phonemizer
from inference_server.engines.emotivoice.layers import length_mask, masked
from inference_server.engines.emotivoice.networks import joint_networks, load_networks
from inference_server.engines.emotivoice.packing import pack
from inference_server.engines.emotivoice.style import WordPieces
from inference_server.engines.emotivoice.synthesis import Synthesizer, to_pcm

_TESTS = Path(__file__).parents[2]
MODEL = _TESTS / "models" / "emotivoice-tiny"
DATA = _TESTS / "data" / "emotivoice"
CPU = torch.device("cpu")

# Two threads of a busy two-core machine wait for each other; the sizes here are far too small for any.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_root() -> Path:
    return MODEL


@pytest.fixture(scope="session")
def data_root() -> Path:
    return DATA


@pytest.fixture(scope="session")
def directory():
    return ModelDirectory.find(MODEL)


@pytest.fixture(scope="session")
def config(directory):
    return read_config(directory)


@pytest.fixture(scope="session")
def networks(directory, config):
    return load_networks(directory, config, CPU)


@pytest.fixture(scope="session")
def phonemizer():
    return _phonemizer()


@pytest.fixture(scope="session")
def synthesizer(config, phonemizer, directory) -> Synthesizer:
    return Synthesizer(config, _packed(str(MODEL)), phonemizer, WordPieces(directory.vocabulary))


@cache
def _phonemizer():
    return load_phonemizer(MODEL.joinpath("data/youdao/text/tokenlist").read_text().split(), lexicon=None)


def phonemes(text):
    return " ".join(_phonemizer().phonemes(text))


@cache
def _opened(root):
    directory = ModelDirectory.find(Path(root))
    config = read_config(directory)
    return directory, config, load_networks(directory, config, CPU)


@cache
def _packed(root):
    """The networks as a CPU computes with them."""
    directory, config, _ = _opened(root)
    networks = load_networks(directory, config, CPU)
    pack(networks.style)
    pack(networks.acoustic)
    return networks


def run_case(model_dir, ids, speaker, style, content, overrides):
    """One sentence on its own, as a CPU computes it."""
    directory, config, _ = _opened(model_dir)
    acoustic, vocoder = _packed(model_dir).acoustic, _packed(model_dir).vocoder
    if overrides:
        state = checkpoint.read_tensors(directory.joint_checkpoint, "generator")
        changed = {name: torch.from_numpy(np.asarray(value)) for name, value in overrides.items()}
        acoustic, vocoder = joint_networks(directory.joint_checkpoint, state | changed, config, CPU)
        pack(acoustic)
    fast = CpuVocoder(vocoder)
    return _run(acoustic, lambda mel, _: fast(mel[0])[None], [(ids, speaker, style, content)], padded=False)[0]


def run_batch(model_dir, items):
    """Several sentences in one padded batch, as an accelerator computes it."""
    networks = _opened(model_dir)[2]
    return _run(networks.acoustic, networks.vocoder, items, padded=True)


def embed(model_dir, input_ids):
    with torch.inference_mode():
        return _packed(model_dir).style.encode([input_ids], CPU)[0].numpy()


def tokenize(model_dir, text):
    directory, config, _ = _opened(model_dir)
    return WordPieces(directory.vocabulary).ids(text, config.bert.positions)


@torch.inference_mode()
def _run(acoustic, vocode, items, *, padded):
    longest = max(len(ids) for ids, *_ in items)
    ids = torch.tensor([[*ids, *([7] * (longest - len(ids)))] for ids, *_ in items])  # the padding is no silence
    lengths = torch.tensor([len(ids) for ids, *_ in items])
    voice = acoustic.spk_tokenizer(torch.tensor([speaker for _, speaker, *_ in items]))
    style, content = (torch.from_numpy(np.stack([item[n] for item in items])) for n in (2, 3))
    prosody = acoustic.plan(ids, lengths if padded else None, voice, style, content)
    durations = prosody.durations(torch.ones(len(items)))
    frames = sounding(durations, prosody.mask)
    totals = frames.sum(1).long()
    mask = length_mask(totals, int(totals.max())) if padded else None
    upsampled = masked(spread(prosody.spoken, frames, prosody.mask, int(totals.max())), mask)
    decoded, mel = acoustic.render(upsampled, mask)
    wave = vocode(mel, totals if padded else None)
    samples_per_frame = wave.shape[1] // mel.shape[1]
    by_token = {
        "encoder_out": prosody.encoded,
        "projected": prosody.projected,
        "log_duration": prosody.log_duration,
        "duration": durations.long(),
        "pitch": prosody.pitch,
        "energy": prosody.energy,
        "pitch_embedding": prosody.pitch_embedding,
        "energy_embedding": prosody.energy_embedding,
    }
    by_frame = {"upsampled": upsampled, "decoder_out": decoded, "mel": mel}
    outputs = []
    for row, (tokens, total) in enumerate(zip(lengths.tolist(), totals.tolist(), strict=True)):
        samples = wave[row, : total * samples_per_frame]
        outputs.append(
            {name: value[row, :tokens].numpy() for name, value in by_token.items()}
            | {name: value[row, :total].numpy() for name, value in by_frame.items()}
            | {"wav": samples.numpy(), "pcm": to_pcm(samples)}
        )
    return outputs


class Reference:
    """The engine behind the reference cases' signatures."""

    impl = staticmethod(run_case)
    batch = staticmethod(run_batch)
    style = staticmethod(embed)
    tokenize = staticmethod(tokenize)


@pytest.fixture(scope="session")
def reference() -> type[Reference]:
    return Reference
