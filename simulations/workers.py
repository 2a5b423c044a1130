"""Many replays over cores or machines, resumable.

Every finished replay is kept at once, so that an interruption loses only what was running.
"""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from joblib import Parallel, delayed, parallel_config

from autoscaler.model import InvalidInput, MissingExtra, Unreachable
from simulations.replay import Reference, Replay
from simulations.result import Result
from simulations.store import Store, code_version

DASK_TIMEOUT_S = 10

Job = Replay | Reference
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Workers:
    """Who computes."""

    cores: int = -1
    """Processes on this machine; -1: one for each core."""
    dask: str | None = None
    """Address of a dask scheduler whose workers compute instead."""


def finish(jobs: Iterable[Job], store: Store, workers: Workers) -> Generator[tuple[int, int]]:
    """Replay what the store lacks; each result is kept as soon as it is there.

    Yields the number of replays that are there and the number that are wanted, at first and after each.

    Args:
        jobs: what is wanted.
        store: where results are, and go.
        workers: who computes.

    Raises:
        InvalidInput: a replay cannot be run.
        Unreachable: no dask scheduler answers at that address.
        KeyboardInterrupt: what was finished is kept, and no process is left behind.
    """
    wanted = {job.key(): job for job in jobs}
    missing = {key: job for key, job in wanted.items() if key not in store}
    stored = len(wanted) - len(missing)
    yield stored, len(wanted)
    if not missing:
        return
    with closing(spread(_run, missing.items(), workers)) as results:
        for done, (key, result) in enumerate(results, stored + 1):
            store.save(key, result)
            yield done, len(wanted)


def spread(call: Callable[..., Item], tasks: Iterable[tuple[Any, ...]], workers: Workers) -> Generator[Item]:
    """Call a function with each tuple of arguments, and yield what it returns as soon as it is there.

    Raises:
        Unreachable: no dask scheduler answers at that address.
        KeyboardInterrupt: no process is left behind.
    """
    with _pool(workers) as pool:
        with _left_alone_by_ctrl_c():
            results = pool(delayed(call)(*task) for task in tasks)
        try:
            for result in results:  # noqa: UP028 - `yield from` would close them before what follows is heard
                yield result
        except BaseException:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # that not all was computed is known
                results.close()
            raise


def _run(key: str, job: Job) -> tuple[str, Result]:
    try:
        return key, job.run()
    except Exception as error:
        error.add_note(f"in the replay of {job}")
        raise


@contextmanager
def _left_alone_by_ctrl_c() -> Iterator[None]:
    """Processes that are started inside never see SIGINT, which a terminal sends to all; this one sees it after."""
    resource_tracker.ensure_running()  # it would let SIGINT through again when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _pool(workers: Workers) -> Iterator[Parallel]:
    """What computes, and gives results in the order in which they are finished."""
    if workers.dask is None:
        yield Parallel(n_jobs=workers.cores, return_as="generator_unordered", batch_size=1)
        return
    with _dask(workers.dask) as client, parallel_config(backend="dask", client=client):
        yield Parallel(n_jobs=-1, return_as="generator_unordered", batch_size=1)


@contextmanager
def _dask(address: str) -> Iterator[Any]:
    """A client of the scheduler; its workers must have this very code."""
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtra("autoscaler compare --dask", "dask") from error
    try:
        client = Client(address, timeout=DASK_TIMEOUT_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise Unreachable(f"no dask scheduler answers at {address}: {error}") from error
    with client:
        versions: Mapping[str, str] = client.run(code_version)
        if not versions:
            raise Unreachable(f"the dask scheduler at {address} has no workers")
        strangers = [worker for worker, version in versions.items() if version != code_version()]
        if strangers:
            raise InvalidInput(*(f"dask worker {worker}: has other code than this machine" for worker in strangers))
        yield client
