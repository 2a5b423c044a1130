"""SenseVoiceSmall through `funasr.AutoModel`.

The numbers in brackets are the traps of research: speech, section 2c, that a line is there for.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
import logging
import random
import sys
import threading
import time
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference_server.engines.engine import BatchLimits, Kind, Phases, Rehearsal, call_cost
from inference_server.engines.recognition import RATE_HZ, Clip, Heard, Options, Word, parse_tags
from inference_server.errors import InvalidOption

if TYPE_CHECKING:
    from inference_server.audio.samples import Samples
    from inference_server.audio.spans import Span

_COMPONENTS = (
    "funasr.models.sense_voice.model",
    "funasr.frontends.wav_frontend",
    "funasr.tokenizer.sentencepiece_tokenizer",
    "funasr.models.specaug.specaug",
    "inference_server.engines.sensevoice_frontend",
)
_FRONTEND = "TensorFrontend"
_SEGMENT_S = 15.0
_MARGIN_S = 0.2
# What a call costs is measured in the warm-up: on one CPU thread as much as 1.3 s of sound at full size (research:
# speech, 3.2), 5 s in the digits model. The sizes for a GPU are estimated from arithmetic, not measured.
_CPU_BATCHES = BatchLimits(max_pieces=8, max_padded_cost=12.0, max_shared_cost=6.0)
_GPU_BATCHES = BatchLimits(max_pieces=64, max_padded_cost=240.0, max_shared_cost=30.0)
_REHEARSED_S = (0.5, 2.0)
_REHEARSALS = 2


@dataclass(frozen=True, slots=True)
class SenseVoiceSettings:
    """Where the model is and how it runs.

    Attributes:
        model: a folder, or with `hub` a name on that hub.
        hub: `ms` (ModelScope) or `hf` (Hugging Face); empty: `model` must be a folder, nothing is fetched.
        device: `cpu`, `cuda`, `cuda:0`; a device that is not there is an error, not the CPU.
        threads: of torch; not above the CPU limit of the pod, or threads wait for each other at every layer.
        vad: cut recordings of more than 30 s where nobody speaks; without it they are refused.
        known_clip: a sound file that is transcribed before the server is ready.
        known_text: what must come out, without tags.
    """

    model: str
    hub: str = ""
    device: str = "cpu"
    threads: int = 1
    vad: bool = True
    known_clip: str = ""
    known_text: str = ""

    def __post_init__(self) -> None:
        if self.hub not in {"", "ms", "hf"}:
            raise InvalidOption(f"--option hub={self.hub}: allowed: ms, hf, or empty for a local folder")
        if not self.hub:
            check_folder(Path(self.model))  # a mistyped path would be looked up on a hub (11)
        if self.threads < 1:
            raise InvalidOption(f"--option threads={self.threads}: must be at least 1")


class SenseVoice:
    """Transcribes clips; language, emotion and event come as tags in the raw text."""

    kind: Kind = "recognition"
    slots = 1  # options live in the model object: one thread at a time (17)
    max_clip_s = 30.0

    def __init__(self, settings: SenseVoiceSettings) -> None:
        self._settings = settings
        self._model: Any = None
        self._vad: Any = None
        self._vad_lock = threading.Lock()
        self.model = Path(settings.model).name
        self.device = settings.device
        self.batching = _CPU_BATCHES if settings.device == "cpu" else _GPU_BATCHES

    def load(self, phase: Phases) -> Rehearsal:
        """Import, build, check, warm up.

        Raises:
            RuntimeError: the device is not there, or the weights are not those of the model.
            ValueError: the known clip comes out differently.
        """
        with phase("import"), _unchanged_process_settings():
            import torch

            model_class = import_auto_model()
            if self._settings.vad:
                import silero_vad
        if self.device != "cpu" and not torch.cuda.is_available():
            raise RuntimeError(f"device {self.device} was asked for, but torch sees no GPU")  # (11)
        with phase("weights"), _unchanged_process_settings():
            self._model = model_class(
                model=self._settings.model,
                hub=self._settings.hub or "ms",
                device=self.device,
                ncpu=self._settings.threads,  # (2)
                frontend=_FRONTEND,
                frontend_conf={"dither": 0.0},  # (1)
                disable_update=True,  # (11)
                disable_pbar=True,
                log_level="ERROR",
            )
            if self._settings.vad:
                self._vad = silero_vad.load_silero_vad()
            torch.set_num_threads(self._settings.threads)  # importing silero_vad sets 1 (2)
        random.seed()  # loading seeds everything with 0 (3)
        torch.seed()
        if not self._settings.hub:
            _check_weights(self._model.model, Path(self._settings.model))
        with phase("warmup"):
            return self._warm_up()

    def run(self, batch: Sequence[Clip]) -> Sequence[Heard]:
        """One call of the model; results match by position, keys are the same for all (13)."""
        import torch

        options = batch[0].options
        with torch.inference_mode():  # 3 to 5 % less CPU time than under funasr's no_grad
            results = self._model.generate(
                input=[clip.samples for clip in batch],  # arrays only: text would be opened as a path or URL (9, 10)
                batch_size=len(batch),
                language=options.language,
                use_itn=options.use_itn,
                output_timestamp=options.words,
            )
        if len(results) != len(batch):
            raise RuntimeError(f"{len(batch)} clips gave {len(results)} results")
        return [Heard(result["text"], _words(result)) for result in results]

    def split(self, samples: Samples) -> Sequence[Span]:
        """Spans of speech of at most 30 s, mostly up to 15 s, with the pauses between neighbours kept."""
        import silero_vad
        import torch

        from inference_server.audio.spans import Span, merge_spans

        with self._vad_lock:  # the detector carries state from block to block
            found = silero_vad.get_speech_timestamps(
                torch.from_numpy(samples), self._vad, max_speech_duration_s=self.max_clip_s - 2 * _MARGIN_S
            )
        speech = [Span(part["start"], part["end"]) for part in found]
        return merge_spans(speech, int(_SEGMENT_S * RATE_HZ), int(_MARGIN_S * RATE_HZ), samples.size)

    def _warm_up(self) -> Rehearsal:
        import numpy as np

        from inference_server.audio.decode import AudioLimits, decode

        noise = np.random.default_rng(0).normal(0, 0.01, 2 * RATE_HZ).astype(np.float32)
        self.run([Clip(noise, Options(words=True))])
        rehearsal, measured = self._rehearse(noise)
        self.batching = replace(self.batching, call_cost=min(measured, self.batching.max_shared_cost) / 2)
        if self._settings.vad:
            self.split(noise)
        if self._settings.known_clip:
            sound = Path(self._settings.known_clip).read_bytes()
            clip = Clip(decode(sound, RATE_HZ, AudioLimits()), Options(use_itn=False))
            text = parse_tags(self.run([clip])[0].raw).text
            if text != self._settings.known_text:
                raise ValueError(f"the known clip gave {text!r}, expected {self._settings.known_text!r}")
        return rehearsal

    def _rehearse(self, noise: Samples) -> tuple[Rehearsal, float]:
        """What the last clip took, and what a call costs, in seconds of sound.

        Calls are timed in CPU time of this thread where it does the work, or a full share of it: other work on the
        machine then makes none look dear.
        """
        clock = time.thread_time if self.device == "cpu" else time.perf_counter
        took_s: dict[float, float] = {}
        for seconds in _REHEARSED_S * _REHEARSALS:
            clip = Clip(noise[: int(seconds * RATE_HZ)], Options())
            begun_s, clock_s = time.perf_counter(), clock()
            self.run([clip])
            rehearsal = Rehearsal(clip.cost, time.perf_counter() - begun_s)
            took_s[clip.cost] = min(clock() - clock_s, took_s.get(clip.cost, inf))
        return rehearsal, call_cost(*(Rehearsal(cost, seconds) for cost, seconds in took_s.items()))


def check_folder(folder: Path) -> None:
    """Refuse a folder that lacks a file: funasr would load random weights without an error (14).

    Raises:
        InvalidOption: one line for each missing file.
    """
    if not folder.is_dir():
        raise InvalidOption(f"--option model={folder}: no such folder")
    description = folder / "configuration.json"
    needed = ["configuration.json"]
    if description.is_file():
        needed += _leaves(json.loads(description.read_text(encoding="utf-8")).get("file_path_metas", {}))
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise InvalidOption(*(f"--option model={folder}: {name} is missing" for name in missing))


def _leaves(tree: Any) -> list[str]:  # noqa: ANN401 JSON
    if isinstance(tree, dict):
        return [leaf for branch in tree.values() for leaf in _leaves(branch)]
    return [tree] if isinstance(tree, str) else []


def _check_weights(model: Any, folder: Path) -> None:  # noqa: ANN401 a torch module
    """Refuse a checkpoint that does not fill the model exactly: funasr only prints a warning (14)."""
    import torch

    saved = torch.load(folder / "model.pt", map_location="meta", weights_only=True, mmap=True)
    saved = saved.get("state_dict", saved)
    shapes = {name.removeprefix("module."): tuple(tensor.shape) for name, tensor in saved.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    wrong = sorted(name for name, shape in wanted.items() if shapes.get(name) != shape)
    if wrong:
        raise RuntimeError(f"model.pt lacks or misfits {len(wrong)} tensors, the first: {wrong[0]}")


def import_auto_model() -> Any:  # noqa: ANN401 a class of a package without types
    """`funasr.AutoModel` without the rest of the package.

    funasr's `__init__` imports all of its model families: three quarters of the CPU time of a start (measured in
    docs/server.md). Its modules register themselves when they are imported, so the package is entered without running
    `__init__`, and only what SenseVoiceSmall is made of is imported.
    """
    if "funasr" not in sys.modules:
        spec = importlib.util.find_spec("funasr")
        if spec is None:
            raise RuntimeError("funasr is not installed: pip install 'speech-autoscaler[inference]'")
        sys.modules["funasr"] = importlib.util.module_from_spec(spec)
    for name in _COMPONENTS:
        importlib.import_module(name)
    return importlib.import_module("funasr.auto.auto_model").AutoModel


@contextlib.contextmanager
def _unchanged_process_settings() -> Generator[None]:
    """Undo what funasr does: it prints to stdout, sets up logging, silences all warnings (12)."""
    root = logging.getLogger()
    handlers, level, filters = root.handlers[:], root.level, warnings.filters[:]
    printed = io.StringIO()
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(printed):
            yield
    except Exception as error:
        raise RuntimeError(f"{error}; it had printed: {printed.getvalue()}") from error  # the cause is often only there
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        warnings.filters[:] = filters  # type: ignore[index]


def _words(result: dict[str, Any]) -> tuple[Word, ...]:
    """Words with their times; absent for a clip without words."""
    return tuple(
        Word(text.removeprefix("▁"), start_ms / 1000, end_ms / 1000)
        for text, (start_ms, end_ms) in zip(result.get("words", ()), result.get("timestamp", ()), strict=True)
    )
