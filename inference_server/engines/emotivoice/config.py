"""The model directory: where its files lie and what sizes they give.

The layout is that of the published EmotiVoice model directory (github.com/netease-youdao/EmotiVoice, commit bc2de8c).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import yaml

from inference_server.engines.emotivoice.errors import InvalidModel

SAMPLE_RATE_HZ = 16_000
SENTENCE_MARK = "<sos/eos>"

_JOINT_CHECKPOINTS = ("outputs/prompt_tts_open_source_joint/ckpt", "g_????????")
_STYLE_CHECKPOINTS = ("outputs/style_encoder/ckpt", "checkpoint_??????")
_BERT = "WangZeJun/simbert-base-chinese"


@dataclass(frozen=True, slots=True)
class ModelDirectory:
    """The files of one model directory that inference reads.

    Attributes:
        root: the directory itself.
        joint_checkpoint: acoustic model and vocoder, the newest by name.
        style_checkpoint: the whole style network, the newest by name.
        base_bert: BERT weights for names the style checkpoint lacks; rarely needed, may be absent.
        lexicon: English words and their phones; `None` where the directory has none.
        speaker_encoder: ONNX file that makes a voice from reference audio; `None` where the directory has none.
    """

    root: Path
    joint_checkpoint: Path
    style_checkpoint: Path
    base_bert: Path
    bert_config: Path
    vocabulary: Path
    sizes: Path
    tokens: Path
    voices: Path
    lexicon: Path | None
    speaker_encoder: Path | None

    @classmethod
    def find(cls, root: Path) -> Self:
        """Looks the files up.

        Raises:
            InvalidModel: every required file that is missing, at once.
        """
        problems: list[str] = []
        if not root.is_dir():
            raise InvalidModel(root, ["not a directory"])

        def newest(folder: str, pattern: str) -> Path:
            found = sorted(path for path in (root / folder).glob(pattern) if path.is_file())
            if not found:
                problems.append(f"missing file {folder}/{pattern}")
            return found[-1] if found else root / folder

        def required(name: str) -> Path:
            if not (root / name).is_file():
                problems.append(f"missing file {name}")
            return root / name

        def optional(name: str) -> Path | None:
            return root / name if (root / name).is_file() else None

        directory = cls(
            root=root,
            joint_checkpoint=newest(*_JOINT_CHECKPOINTS),
            style_checkpoint=newest(*_STYLE_CHECKPOINTS),
            base_bert=root / _BERT / "pytorch_model.bin",
            bert_config=required(f"{_BERT}/config.json"),
            vocabulary=required(f"{_BERT}/vocab.txt"),
            sizes=required("config/joint/config.yaml"),
            tokens=required("data/youdao/text/tokenlist"),
            voices=required("data/youdao/text/speaker2"),
            lexicon=optional("lexicon/librispeech-lexicon.txt"),
            speaker_encoder=optional("speaker_encoder.onnx"),
        )
        if problems:
            raise InvalidModel(root, problems)
        return directory


@dataclass(frozen=True, slots=True)
class BertSizes:
    """Sizes of the style encoder's BERT."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    feed_forward_width: int
    positions: int
    types: int
    norm_epsilon: float


@dataclass(frozen=True, slots=True)
class StackSizes:
    """Sizes of one transformer stack of the acoustic model."""

    layers: int
    heads: int
    kernel: int


@dataclass(frozen=True, slots=True)
class PredictorSizes:
    """Sizes of one variance predictor."""

    width: int
    layers: int
    kernel: int


@dataclass(frozen=True, slots=True)
class AcousticSizes:
    """Sizes of the acoustic model."""

    tokens: int
    voices: int
    width: int
    style_width: int
    mel: int
    encoder: StackSizes
    decoder: StackSizes
    duration: PredictorSizes
    pitch: PredictorSizes
    energy: PredictorSizes
    variance_kernel: int


@dataclass(frozen=True, slots=True)
class VocoderSizes:
    """Sizes of the HiFi-GAN generator; the four tuples of the upsampling stages have equal lengths."""

    mel: int
    channels: int
    rates: tuple[int, ...]
    kernels: tuple[int, ...]
    residual_kernels: tuple[int, ...]
    residual_dilations: tuple[tuple[int, ...], ...]

    @property
    def hop(self) -> int:
        """Samples per frame."""
        product = 1
        for rate in self.rates:
            product *= rate
        return product


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything the networks and the frontend need to know beside the weights.

    Attributes:
        tokens: phoneme names; the index is the id.
        voices: voice names; the index is the speaker.
    """

    tokens: tuple[str, ...]
    voices: tuple[str, ...]
    bert: BertSizes
    acoustic: AcousticSizes
    vocoder: VocoderSizes


def read_config(directory: ModelDirectory) -> ModelConfig:
    """Reads lists and sizes.

    Raises:
        InvalidModel: a file that cannot be read, a missing or impossible size, sizes that do not fit each other.
    """
    tokens = _lines(directory.tokens)
    voices = _lines(directory.voices)
    if SENTENCE_MARK not in tokens:
        raise InvalidModel(directory.tokens, [f"has no token {SENTENCE_MARK}"])
    bert = _bert_sizes(directory.bert_config)
    sizes = _Sizes(directory.sizes, _mapping(directory.sizes))
    if sizes.integer("sr") != SAMPLE_RATE_HZ:
        raise InvalidModel(directory.sizes, [f"sr: {sizes.integer('sr')} is not supported, only {SAMPLE_RATE_HZ}"])
    vocoder = _vocoder_sizes(sizes)
    if vocoder.hop != sizes.integer("hop_length"):
        raise InvalidModel(directory.sizes, [f"upsample_rates: make {vocoder.hop} samples a frame, not hop_length"])
    acoustic = _acoustic_sizes(sizes, tokens=len(tokens), voices=len(voices))
    if acoustic.style_width != bert.width:
        raise InvalidModel(directory.sizes, [f"bert_embedding: {acoustic.style_width} is not BERT's {bert.width}"])
    return ModelConfig(tokens=tokens, voices=voices, bert=bert, acoustic=acoustic, vocoder=vocoder)


class _Sizes:
    """Sizes by name out of one file, checked as they are read."""

    def __init__(self, path: Path, values: Mapping[str, object]) -> None:
        self.path = path
        self._values = values

    def section(self, name: str) -> "_Sizes":
        value = self._values.get(name)
        if not isinstance(value, Mapping):
            raise InvalidModel(self.path, [f"{name}: not a section"])
        return _Sizes(self.path, value)

    def integer(self, name: str) -> int:
        return self._positive(name, self._values.get(name))

    def integers(self, name: str) -> tuple[int, ...]:
        return self._all_positive(name, self._values.get(name))

    def integer_lists(self, name: str) -> tuple[tuple[int, ...], ...]:
        value = self._values.get(name)
        if not isinstance(value, list) or not value:
            raise InvalidModel(self.path, [f"{name}: {value!r} is not a list"])
        return tuple(self._all_positive(name, item) for item in value)

    def number(self, name: str, default: float) -> float:
        value = self._values.get(name, default)
        if not isinstance(value, (int, float)):
            raise InvalidModel(self.path, [f"{name}: {value!r} is not a number"])
        return float(value)

    def _all_positive(self, name: str, value: object) -> tuple[int, ...]:
        if not isinstance(value, list) or not value:
            raise InvalidModel(self.path, [f"{name}: {value!r} is not a list"])
        return tuple(self._positive(name, item) for item in value)

    def _positive(self, name: str, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InvalidModel(self.path, [f"{name}: {value!r} is not a positive whole number"])
        return value


def _bert_sizes(path: Path) -> BertSizes:
    sizes = _Sizes(path, _mapping(path))
    bert = BertSizes(
        vocabulary=sizes.integer("vocab_size"),
        width=sizes.integer("hidden_size"),
        layers=sizes.integer("num_hidden_layers"),
        heads=sizes.integer("num_attention_heads"),
        feed_forward_width=sizes.integer("intermediate_size"),
        positions=sizes.integer("max_position_embeddings"),
        types=sizes.integer("type_vocab_size"),
        norm_epsilon=sizes.number("layer_norm_eps", 1e-12),
    )
    if bert.width % bert.heads:
        raise InvalidModel(path, [f"num_attention_heads: {bert.heads} does not divide hidden_size {bert.width}"])
    return bert


def _acoustic_sizes(sizes: _Sizes, *, tokens: int, voices: int) -> AcousticSizes:
    model = sizes.section("model")
    width = model.integer("encoder_n_hidden")
    if model.integer("decoder_n_hidden") != width:
        raise InvalidModel(sizes.path, ["decoder_n_hidden: differs from encoder_n_hidden"])
    encoder, decoder = _stack_sizes(model, "encoder"), _stack_sizes(model, "decoder")
    for name, heads in (("encoder", encoder.heads), ("decoder", decoder.heads)):
        if width % heads:
            raise InvalidModel(sizes.path, [f"{name}_n_heads: {heads} does not divide {name}_n_hidden {width}"])
    predictor = model.integer("variance_n_hidden")
    variance_kernel = model.integer("variance_kernel_size")
    return AcousticSizes(
        tokens=tokens,
        voices=voices,
        width=width,
        style_width=model.integer("bert_embedding"),
        mel=sizes.integer("n_mels"),
        encoder=encoder,
        decoder=decoder,
        duration=PredictorSizes(
            width=predictor, layers=model.integer("duration_n_layers"), kernel=model.integer("duration_kernel_size")
        ),
        pitch=PredictorSizes(width=predictor, layers=model.integer("variance_n_layers"), kernel=variance_kernel),
        energy=PredictorSizes(width=predictor, layers=2, kernel=3),  # fixed upstream, not configurable
        variance_kernel=model.integer("variance_embed_kernel_size"),
    )


def _stack_sizes(model: _Sizes, name: str) -> StackSizes:
    return StackSizes(
        layers=model.integer(f"{name}_n_layers"),
        heads=model.integer(f"{name}_n_heads"),
        kernel=model.integer(f"{name}_kernel_size_conv_mod"),
    )


def _vocoder_sizes(sizes: _Sizes) -> VocoderSizes:
    model = sizes.section("model")
    vocoder = VocoderSizes(
        mel=model.integer("initial_channel"),
        channels=model.integer("upsample_initial_channel"),
        rates=model.integers("upsample_rates"),
        kernels=model.integers("upsample_kernel_sizes"),
        residual_kernels=model.integers("resblock_kernel_sizes"),
        residual_dilations=model.integer_lists("resblock_dilation_sizes"),
    )
    if vocoder.mel != sizes.integer("n_mels"):
        raise InvalidModel(sizes.path, ["initial_channel: differs from n_mels"])
    if len(vocoder.rates) != len(vocoder.kernels):
        raise InvalidModel(sizes.path, ["upsample_kernel_sizes: not as many as upsample_rates"])
    if len(vocoder.residual_kernels) != len(vocoder.residual_dilations):
        raise InvalidModel(sizes.path, ["resblock_dilation_sizes: not as many as resblock_kernel_sizes"])
    if vocoder.channels % 2 ** len(vocoder.rates):
        raise InvalidModel(sizes.path, ["upsample_initial_channel: cannot be halved at every upsampling"])
    return vocoder


def _mapping(path: Path) -> Mapping[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InvalidModel(path, [f"cannot be read: {error}"]) from error
    if not isinstance(value, Mapping):
        raise InvalidModel(path, ["not a mapping of names to values"])
    return value


def _lines(path: Path) -> tuple[str, ...]:
    try:
        lines = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidModel(path, [f"cannot be read: {error}"]) from error
    if not lines or not all(lines):
        raise InvalidModel(path, ["empty, or has an empty line"])
    if len(set(lines)) != len(lines):
        raise InvalidModel(path, ["has a name twice"])
    return lines
