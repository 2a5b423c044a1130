"""The engines by name. A model's libraries are imported when its engine is made, not before."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails

from inference_server.engines.engine import Engine
from inference_server.errors import InvalidOption

_ENGINES = {
    "emotivoice": ("inference_server.engines.tts", "EmotiVoice", "EmotiVoiceSettings"),
    "sensevoice": ("inference_server.engines.sensevoice", "SenseVoice", "SenseVoiceSettings"),
    "sleeper": ("inference_server.engines.sleeper", "Sleeper", "SleeperSettings"),
}

NAMES = tuple(_ENGINES)


def make_engine(name: str, options: Sequence[str]) -> Engine[Any, Any]:
    """The engine `name`, not loaded yet.

    Args:
        name: one of `NAMES`.
        options: `KEY=VALUE`, the fields of the engine's settings.

    Raises:
        InvalidOption: unknown engine, unknown key, or a value of the wrong type.
    """
    if name not in _ENGINES:
        raise InvalidOption(f"--engine {name}: unknown; allowed: {', '.join(NAMES)}")
    module_name, engine_name, settings_name = _ENGINES[name]
    module = import_module(module_name)
    settings = _parse(getattr(module, settings_name), options)
    engine: Engine[Any, Any] = getattr(module, engine_name)(settings)
    return engine


def _parse(settings: type, options: Sequence[str]) -> object:
    pairs = [option.partition("=") for option in options]
    malformed = [option for option, (_, sign, _) in zip(options, pairs, strict=True) if not sign]
    if malformed:
        raise InvalidOption(*(f"--option {option}: must be KEY=VALUE" for option in malformed))
    closed = with_config(ConfigDict(extra="forbid"))(settings)
    try:
        return TypeAdapter(closed).validate_python({key: value for key, _, value in pairs})
    except ValidationError as error:
        allowed = ", ".join(settings.__dataclass_fields__)  # type: ignore[attr-defined]
        raise InvalidOption(*(line for problem in error.errors() for line in _told(problem, allowed))) from error


def _told(problem: ErrorDetails, allowed: str) -> Sequence[str]:
    """What settings say of themselves stays as they say it."""
    own = problem.get("ctx", {}).get("error")
    if isinstance(own, InvalidOption):
        return own.problems
    return [f"--option {'.'.join(map(str, problem['loc']))}: {problem['msg']}; keys: {allowed}"]
