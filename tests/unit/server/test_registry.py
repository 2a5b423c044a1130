"""Engines by name, with typed options."""

from __future__ import annotations

import pytest

from inference_server.engines.registry import make_engine
from inference_server.errors import InvalidOption


def test_options_become_settings_of_the_right_type() -> None:
    engine = make_engine("sleeper", ["service_s=0.05", "slots=3", "crash_at_load=true"])
    assert (engine.default_service_s, engine.slots) == (0.05, 3)


@pytest.mark.parametrize(
    ("name", "option", "said"),
    [
        pytest.param("whisper", "a=1", "sensevoice, sleeper", id="unknown engine"),
        pytest.param("sleeper", "service_s", "must be KEY=VALUE", id="no value"),
        pytest.param("sleeper", "naps=1", "keys: service_s", id="unknown key"),
        pytest.param("sleeper", "slots=many", "valid integer", id="wrong type"),
        pytest.param("sleeper", "slots=0", "greater than or equal to 1", id="nobody who works"),
        pytest.param("sleeper", "service_s=nan", "finite", id="no number"),
        pytest.param("sensevoice", "model=/nowhere", "^--option model=/nowhere: no such folder$", id="no such folder"),
    ],
)
def test_what_cannot_be_used_is_named_with_what_can(name: str, option: str, said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        make_engine(name, [option])
