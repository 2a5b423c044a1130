"""Text to sound: what a server asks of this engine.

A request is planned (`Synthesizer.plan`: frontend only, any thread, every refusal happens here) into pieces of about a
sentence, and pieces of any requests are rendered together (`Synthesizer.render`: the networks, one thread).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference_server.engines.emotivoice.acoustic import sounding, spread
from inference_server.engines.emotivoice.batching import Padding, length_groups, padded, padding_for
from inference_server.engines.emotivoice.cloning import OnnxSpeakerEncoder, SpeakerEncoder, check_reference
from inference_server.engines.emotivoice.config import SAMPLE_RATE_HZ, ModelConfig, ModelDirectory, read_config
from inference_server.engines.emotivoice.cpu_vocoder import CpuVocoder
from inference_server.engines.emotivoice.errors import (
    AudioTooLong,
    CloningUnavailable,
    InvalidSpeed,
    NothingToSpeak,
    TextTooLong,
    UnknownVoice,
)
from inference_server.engines.emotivoice.frontend.phonemizer import Phonemizer, load_phonemizer
from inference_server.engines.emotivoice.frontend.sentences import split_text
from inference_server.engines.emotivoice.layers import length_mask, masked
from inference_server.engines.emotivoice.networks import Networks, load_networks
from inference_server.engines.emotivoice.packing import pack
from inference_server.engines.emotivoice.style import WordPieces
from inference_server.engines.emotivoice.vectors import TextVectors
from inference_server.engines.emotivoice.vocoder import Vocoder

Pcm = NDArray[np.int16]

SLOWEST, FASTEST = 0.25, 4.0
_FULL_SCALE = 32_768.0
_CHARACTERS_PER_BERT_PIECE = 4
# Chinese, English and a word in no dictionary: every path and every table once. Accelerators choose kernels by length.
_WARM_UP = ("你好。", "Hi, zxqv.")
_LONGER_WARM_UP = ("今天天气真不错，我们去公园走走。", "The train to platform nine is late, please wait.")

Phase = Callable[[str], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may be, and how it is cut.

    Attributes:
        characters: the most in a text.
        prompt_characters: the most in a prompt; BERT's positions cut it further.
        bert_pieces: the size of a piece of text, which bounds the time to its first sound and its memory; never above
            what the style encoder has positions for.
        frames: the most frames one piece may become.
        vectors: prompts, and texts, whose vectors are remembered.
    """

    characters: int = 4_096
    prompt_characters: int = 1_024
    bert_pieces: int = 100
    frames: int = 6_000
    vectors: int = 1_024


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks: a row of the voice table, or a vector made from reference audio, `(width)`."""

    name: str
    vector: Tensor = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Piece:
    """One stretch of text, ready for the networks.

    Attributes:
        text: as it was written; its vector tells the model what is said.
        ids: its phonemes between two sentence marks.
        prompt: how to say it.
        speed: 1 is the model's own; 2 takes about half as long.
    """

    text: str
    ids: tuple[int, ...]
    voice: Voice
    prompt: str
    speed: float

    @property
    def cost(self) -> float:
        """Work to expect, in phonemes; sound and time grow with it."""
        return float(len(self.ids))


class Synthesizer:
    """One loaded model.

    Args:
        config: sizes and lists.
        networks: the networks on their device.
        phonemizer: the text frontend.
        pieces: the style encoder's tokeniser.
        speaker_encoder: makes voices from reference audio; `None` where the model has none.
        limits: what one request may be.

    Attributes:
        rehearsed: phonemes and seconds of the warm-up's last text; `None` before it.
    """

    sample_rate_hz = SAMPLE_RATE_HZ
    rehearsed: tuple[float, float] | None = None

    def __init__(
        self,
        config: ModelConfig,
        networks: Networks,
        phonemizer: Phonemizer,
        pieces: WordPieces,
        *,
        speaker_encoder: SpeakerEncoder | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.voices = config.voices
        self.limits = limits or Limits()
        self.device = networks.device
        self._acoustic = networks.acoustic
        self._phonemizer = phonemizer
        self._pieces = pieces
        self._speaker_encoder = speaker_encoder
        self._padding = padding_for(networks.device)
        self._vocode = _vocoder_for(networks, self._padding)
        self._positions = config.bert.positions
        self._speakers = {name: index for index, name in enumerate(config.voices)}
        self._prompts, self._texts = (
            TextVectors(networks.style, pieces, networks.device, self._padding, self.limits.vectors) for _ in range(2)
        )

    @property
    def can_clone(self) -> bool:
        """Whether voices can be made from reference audio."""
        return self._speaker_encoder is not None

    def voice(self, name: str) -> Voice:
        """A voice of the model.

        Raises:
            UnknownVoice: not one of `voices`.
        """
        if name not in self._speakers:
            raise UnknownVoice(name, self.voices)
        return Voice(name, self._acoustic.spk_tokenizer.weight[self._speakers[name]])

    def clone(self, samples: NDArray[np.float32], name: str = "reference") -> Voice:
        """A voice from reference audio: mono at 16 kHz, full scale 1, 3 to 10 seconds.

        Raises:
            CloningUnavailable: the model has no speaker encoder.
            InvalidReferenceAudio: audio no voice can be made from.
        """
        if self._speaker_encoder is None:
            raise CloningUnavailable(
                "this model makes no voices from reference audio: its directory holds no speaker_encoder.onnx"
            )
        check_reference(samples)
        return Voice(name, torch.from_numpy(self._speaker_encoder(samples)).to(self.device))

    def plan(self, text: str, voice: str | Voice, prompt: str = "", speed: float = 1.0) -> list[Piece]:
        """Cuts a text into pieces and reads them; pieces without anything to speak are left out.

        Raises:
            UnknownVoice, InvalidSpeed, TextTooLong: the request is not one the model can serve.
            NothingToSpeak: no piece has anything to speak.
        """
        if not (isfinite(speed) and SLOWEST <= speed <= FASTEST):
            raise InvalidSpeed(f"speed {speed} is not allowed: {SLOWEST:g} to {FASTEST:g}")
        for what, given, most in (
            ("the text", text, self.limits.characters),
            ("the prompt", prompt, self.limits.prompt_characters),
        ):
            if len(given) > most:
                raise TextTooLong(what, len(given), most)
        speaker = self.voice(voice) if isinstance(voice, str) else voice
        text, prompt = _well_formed(text), _well_formed(prompt)
        planned = [
            Piece(text=part, ids=ids, voice=speaker, prompt=prompt, speed=speed)
            for part in split_text(text, self._size, self._largest_piece(speed))
            if (ids := tuple(self._phonemizer.ids(part)))
        ]
        if not planned:
            raise NothingToSpeak
        return planned

    def render(self, pieces: Sequence[Piece]) -> list[Pcm]:
        """Sounds of pieces of any requests, in order, mono at `sample_rate_hz`; each as if rendered alone.

        Raises:
            AudioTooLong: the model wants more frames for a piece than it may have.
        """
        if not pieces:
            return []
        with torch.inference_mode():
            return self._render(pieces)

    def synthesize(self, text: str, voice: str | Voice, prompt: str = "", speed: float = 1.0) -> Pcm:
        """The whole sound of one request; raises what `plan` and `render` raise."""
        return np.concatenate(self.render(self.plan(text, voice, prompt, speed)))

    def stream(self, text: str, voice: str | Voice, prompt: str = "", speed: float = 1.0) -> Iterator[Pcm]:
        """The sound of one request piece by piece: each is computed when it is asked for.

        What `plan` raises is raised at once, not at the first piece.
        """
        pieces = self.plan(text, voice, prompt, speed)
        return (self.render([piece])[0] for piece in pieces)

    def warm_up(self) -> None:
        """Runs every path once, so that the first request is as fast as the next."""
        texts = _WARM_UP if self.device.type == "cpu" else (*_WARM_UP, *_LONGER_WARM_UP)
        for text in texts:
            pieces = self.plan(text, self.voices[0])
            begun_s = time.perf_counter()
            self.render(pieces)
            self.rehearsed = sum(piece.cost for piece in pieces), time.perf_counter() - begun_s

    def _largest_piece(self, speed: float) -> int:
        """BERT pieces; slow speech makes more sound of each, so its pieces are smaller."""
        return max(1, int(min(self.limits.bert_pieces * min(speed, 1.0), self._positions - 2)))

    def _size(self, text: str) -> int:
        # One long "word" is few BERT pieces and still much to say.
        return max(self._pieces.count(text), len(text) // _CHARACTERS_PER_BERT_PIECE)

    def _render(self, pieces: Sequence[Piece]) -> list[Pcm]:
        return [to_pcm(wave) for wave in self._vocode(self._decode(self._speak(pieces)))]

    def _speak(self, pieces: Sequence[Piece]) -> list["_Spoken"]:
        """The token side: text vectors, encoder, predictors."""
        prompts = self._prompts.of([piece.prompt for piece in pieces])
        contents = self._texts.of([piece.text for piece in pieces])
        spoken: dict[int, _Spoken] = {}
        for group in length_groups([len(piece.ids) for piece in pieces], self._padding.tokens, self._padding.most):
            chosen = [pieces[index] for index in group]
            ids, lengths = padded([torch.tensor(piece.ids, device=self.device) for piece in chosen])
            voices = torch.stack([piece.voice.vector for piece in chosen])
            prosody = self._acoustic.plan(ids, lengths, voices, prompts[group], contents[group])
            speeds = torch.tensor([piece.speed for piece in chosen], device=self.device)
            durations = sounding(prosody.durations(speeds), prosody.mask)
            frames = durations.sum(1).tolist()
            for row, (index, piece) in enumerate(zip(group, chosen, strict=True)):
                tokens = len(piece.ids)
                spoken[index] = _Spoken(prosody.spoken[row, :tokens], durations[row, :tokens], self._whole(frames[row]))
        return [spoken[index] for index in range(len(pieces))]

    def _whole(self, frames: float) -> int:
        if not frames <= self.limits.frames:  # an overflow or a NaN of a broken model is refused, too
            raise AudioTooLong(f"a piece of the text would become {frames:g} frames; allowed: {self.limits.frames}")
        return int(frames)

    def _decode(self, spoken: Sequence["_Spoken"]) -> list[Tensor]:
        """The frame side: mel `(frames, mel)` of each piece."""
        mels: dict[int, Tensor] = {}
        lengths = [row.frames for row in spoken]
        for group in length_groups(lengths, self._padding.frames, self._padding.most):
            tokens, counts = padded([spoken[index].tokens for index in group])
            durations, _ = padded([spoken[index].durations for index in group])
            known = None if counts is None else length_mask(counts, tokens.shape[1])
            longest, shortest = lengths[group[0]], lengths[group[-1]]
            totals = torch.tensor([lengths[index] for index in group], device=self.device)
            mask = None if shortest == longest else length_mask(totals, longest)
            frames = masked(spread(tokens, durations, known, longest), mask)
            _, mel = self._acoustic.render(frames, mask)
            mels |= {index: mel[row, : lengths[index]] for row, index in enumerate(group)}
        return [mels[index] for index in range(len(spoken))]


@dataclass(frozen=True, slots=True)
class _Spoken:
    """One piece between the two sides: tokens `(T, D)`, their frames `(T)`, and how many that makes."""

    tokens: Tensor
    durations: Tensor
    frames: int


def _vocoder_for(networks: Networks, padding: Padding) -> Callable[[Sequence[Tensor]], list[Tensor]]:
    """What makes waves `(F * hop)` of mels `(F, mel)`: on a CPU one by one, elsewhere in padded batches."""
    if networks.device.type == "cpu":
        vocoder = CpuVocoder(networks.vocoder)
        return lambda mels: [vocoder(mel) for mel in mels]
    return lambda mels: _waves_in_batches(networks.vocoder, mels, padding)


def _waves_in_batches(vocoder: Vocoder, mels: Sequence[Tensor], padding: Padding) -> list[Tensor]:
    waves: dict[int, Tensor] = {}
    for group in length_groups([len(mel) for mel in mels], padding.vocoder_frames, padding.most):
        batch, lengths = padded([mels[index] for index in group])
        for index, wave in zip(group, vocoder(batch, lengths), strict=True):
            waves[index] = wave[: len(mels[index]) * vocoder.sizes.hop]
    return [waves[index] for index in range(len(mels))]


def to_pcm(wave: Tensor) -> Pcm:
    """A wave in [-1, 1] as 16-bit samples, truncated toward zero; full scale is clipped, not wrapped as upstream."""
    pcm: Pcm = (wave * _FULL_SCALE).clamp(max=_FULL_SCALE - 1).to(torch.int16).cpu().numpy()
    return pcm


def _well_formed(text: str) -> str:
    """Without lone surrogates, which JSON can carry and UTF-8 cannot."""
    return text.encode("utf-8", "ignore").decode("utf-8")


def _unmeasured(_: str) -> AbstractContextManager[object]:
    return nullcontext()


def load(
    root: Path, device: str | torch.device = "cpu", *, limits: Limits | None = None, phase: Phase = _unmeasured
) -> Synthesizer:
    """Opens a model directory; ready when it returns.

    Args:
        root: the directory, laid out as the published one.
        device: where all networks compute, the style encoder included.
        limits: what one request may be.
        phase: called with the name of each phase of the start: `weights`, `frontend`, `warm_up`.

    Raises:
        InvalidModel: a file is missing or is not what it should be.
    """
    target = torch.device(device)
    if target.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # with its 10 bits, a batch and a single sentence round differently
    with phase("weights"):
        directory = ModelDirectory.find(root)
        config = read_config(directory)
        networks = load_networks(directory, config, target)
        if target.type == "cpu":
            pack(networks.style)
            pack(networks.acoustic)
        encoder = directory.speaker_encoder
        speaker_encoder = None if encoder is None else OnnxSpeakerEncoder(encoder, config.acoustic.width)
    with phase("frontend"):
        phonemizer = load_phonemizer(config.tokens, directory.lexicon)
        pieces = WordPieces(directory.vocabulary)
    synthesizer = Synthesizer(config, networks, phonemizer, pieces, speaker_encoder=speaker_encoder, limits=limits)
    with phase("warm_up"):
        synthesizer.warm_up()
    return synthesizer
