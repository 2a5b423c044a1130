"""Learning in a process of its own.

What scikit-learn and a fit take of memory goes when it ends, it gives way to ticks, and whatever becomes of it (it
hangs, is killed, runs out of memory) is a fit that failed and no more. A process learns one thing and ends; if the
controller ends first, however that is, so does it.
"""

from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from autoscaler.forecast.prior import Prior
from autoscaler.model import Fitted

Job = Callable[[], Fitted | None]
"""What can be pickled: functions of modules, policies, arrays."""

LONGEST_S = 1800.0
"""A fit over four weeks takes some ten seconds of processor time, of which a busy machine may give it a tenth."""
NICE = 10
"""How much a fit gives way: nine tenths of a core go to ticks that want it."""
_MODULE = "autoscaler.service.learner"


class LearningFailed(Exception):
    """No model came of a fit."""


class Learner:
    """Runs jobs, each in a process of its own. Of several threads each waits for its own process.

    Args:
        longest_s: a process that has not answered by then is killed.
        nice: how much a process gives way.
    """

    def __init__(self, longest_s: float = LONGEST_S, nice: int = NICE) -> None:
        self._longest_s = longest_s
        self._nice = nice
        self._running: set[subprocess.Popen[bytes]] = set()
        self._changing = threading.Lock()
        self._ended = False

    def learn(self, job: Job) -> Fitted | None:
        """What a job gives.

        Raises:
            LearningFailed: it raised (its traceback is a note), its process died or took too long, or `close` was
                called.
        """
        told, common = _packed(job)
        lifeline, held = os.pipe()
        try:
            with self._start(lifeline) as process:
                answer, said = self._answer(process, told)
        finally:
            os.close(lifeline)
            os.close(held)
        if process.returncode != 0:
            raise LearningFailed(_death(process.returncode, said))
        return _result(answer, common)

    def close(self) -> None:
        """End what runs, and begin nothing more."""
        with self._changing:
            self._ended = True
            for process in self._running:
                process.kill()

    def _start(self, lifeline: int) -> subprocess.Popen[bytes]:
        with self._changing:
            if self._ended:
                raise LearningFailed("the controller ends")
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", _MODULE, str(lifeline), str(self._nice)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[lifeline],
                process_group=0,  # a Ctrl-C is for the controller, which ends its children itself
                env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
            )
            self._running.add(process)
            return process

    def _answer(self, process: subprocess.Popen[bytes], told: bytes) -> tuple[bytes, bytes]:
        """What it tells and what it says besides; after that it has ended."""
        try:
            return process.communicate(told, timeout=self._longest_s)
        except subprocess.TimeoutExpired:
            raise LearningFailed(f"no answer within {self._longest_s:g} s") from None
        finally:
            with self._changing:
                self._running.discard(process)
                process.kill()


def _packed(job: Job) -> tuple[bytes, list[Prior]]:
    """A job as bytes, and what in it need not come back: what is shared by many targets stays one thing here.

    The bytes stay as long as the process learns, so they are compressed: to a quarter, in a tenth of a second.
    """
    file = io.BytesIO()
    packer = _Packer(file, [])
    packer.dump(job)
    whole = pickle.dumps((packer.common, file.getvalue()), pickle.HIGHEST_PROTOCOL)
    return zlib.compress(whole, zlib.Z_BEST_SPEED), packer.common


class _Packer(pickle.Pickler):
    """Writes what both sides know as its number; a forecast of other services that is met first gets one."""

    def __init__(self, file: io.BytesIO, common: list[Prior]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.common = common

    def persistent_id(self, obj: object) -> int | None:
        """See `pickle.Pickler`."""
        if not isinstance(obj, Prior):
            return None
        for number, known in enumerate(self.common):
            if known is obj:
                return number
        self.common.append(obj)
        return len(self.common) - 1


class _Unpacker(pickle.Unpickler):
    """Reads it again. What it reads was written by this program for itself."""

    def __init__(self, data: bytes, common: Sequence[Prior]) -> None:
        super().__init__(io.BytesIO(data))
        self._common = common

    def persistent_load(self, pid: int) -> Prior:
        """See `pickle.Unpickler`."""
        return self._common[pid]


def _result(answer: bytes, common: Sequence[Prior]) -> Fitted | None:
    try:
        fitted, failure, trace = _Unpacker(answer, common).load()
    except (pickle.UnpicklingError, EOFError) as error:
        raise LearningFailed(f"its answer cannot be read: {error}") from error
    if failure:
        failed = LearningFailed(failure)
        failed.add_note(trace)
        raise failed
    found: Fitted | None = fitted
    return found


def _death(status: int, said: bytes) -> str:
    """What became of a process, with the last line it said."""
    how = f"exit status {status}" if status > 0 else f"killed by {signal.Signals(-status).name}"
    lines = said.decode(errors="replace").strip().splitlines()
    return f"its process ended: {how}{': ' + lines[-1] if lines else ''}"


def main(lifeline: int, nice: int) -> None:
    """Learn what standard input asks for, tell it on standard output.

    Args:
        lifeline: a file descriptor of which the other end closes when the controller is gone.
        nice: how much to give way.
    """
    os.nice(nice)
    threading.Thread(target=_end_with, args=[lifeline], daemon=True).start()
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints does not spoil the answer
    told = zlib.decompress(sys.stdin.buffer.read())
    common, packed = pickle.loads(told)  # noqa: S301 — of the process that began this one
    del told
    answer: tuple[Any, ...]
    try:
        answer = _Unpacker(packed, common).load()(), "", ""
    except Exception as error:  # noqa: BLE001 — whatever a job raises is told to who asked for it
        answer = None, f"{type(error).__name__}: {error}", traceback.format_exc()
    with os.fdopen(answers, "wb") as file:
        written = io.BytesIO()
        _Packer(written, common).dump(answer)
        file.write(written.getbuffer())


def _end_with(lifeline: int) -> None:
    """Nobody writes to it: it is readable when whoever holds the other end is gone."""
    os.read(lifeline, 1)
    os._exit(1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
