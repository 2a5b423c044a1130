"""Processes of the rig: started, waited for, ended by their id."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")


class Late(AssertionError):
    """A condition did not come true within its bound."""


def wait_for(what: str, condition: Callable[[], Found], within_s: float = 60.0) -> Found:
    """The first truthy value of a condition.

    Raises:
        Late: it did not become true in time; the message names it.
    """
    deadline_s = time.monotonic() + within_s
    while True:
        if found := condition():
            return found
        if time.monotonic() > deadline_s:
            raise Late(f"not within {within_s:g} s: {what}")
        time.sleep(0.02)


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Ports that nobody listens on; they are only likely to stay free, so whoever binds them tries again."""
    held = [socket.create_server((host, 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


@dataclass
class Process:
    """One running program and where it writes."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.popen.poll() is None

    def tail(self, lines: int = 15) -> str:
        """The end of what it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def restart(self) -> None:
        """End it as a crash would, and start it again as it was."""
        self.kill()
        program, *arguments = self.popen.args
        self.popen = start(program, arguments, self.log).popen

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.popen.kill()
        self.popen.wait()

    def stop(self, within_s: float = 10.0) -> None:
        """End it politely, and at once when it does not."""
        self.popen.terminate()
        try:
            self.popen.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()


def start(program: Path, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Process:
    """Start a program that writes to a log file."""
    with log.open("ab") as output:
        popen = subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    return Process(popen, log)
