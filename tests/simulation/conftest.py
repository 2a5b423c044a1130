import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Recorded traffic that is not part of the repository."""
    folder = Path(os.environ.get("SPEECH_SHARED") or Path(__file__).parents[3] / "shared")
    if not (folder / "traces" / "catalogue.json").is_file():
        pytest.skip(f"no recorded traffic in {folder}: set SPEECH_SHARED; docs/traces.md says where each can be had")
    return folder
