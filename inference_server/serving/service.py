"""Everything that the routes share: one engine with its scheduler, metrics and life cycle."""

from __future__ import annotations

import gc
import logging
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from inference_server import __version__
from inference_server.engines.engine import Engine, Piece
from inference_server.serving.lifecycle import Lifecycle
from inference_server.serving.scheduler import AdmissionLimits, Scheduler
from inference_server.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from inference_server.storage.sources import Sources

logger = logging.getLogger(__name__)

P = TypeVar("P", bound=Piece)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Bounds of one request.

    Attributes:
        max_body_bytes: of the HTTP body.
        max_bodies_bytes: of the bodies of all requests inside together.
        deadline_s: time from arrival to result; a client may ask for less. So long it may also take to send its body,
            and to take each part of its answer.
        hang_after_s: a batch that runs longer means that the model hangs: `/healthz` fails, the kubelet restarts.
    """

    max_body_bytes: int = 32 << 20
    max_bodies_bytes: int = 256 << 20
    deadline_s: float = 30.0
    hang_after_s: float = 120.0


class Service(Generic[P, R]):
    """One model, ready to be offered. Without `sources`, no request may name sound elsewhere."""

    def __init__(
        self,
        engine: Engine[P, R],
        metrics: Metrics,
        lifecycle: Lifecycle,
        *,
        admission: AdmissionLimits | None = None,
        limits: RequestLimits | None = None,
        sources: Sources | None = None,
    ) -> None:
        self.engine = engine
        self.metrics = metrics
        self.lifecycle = lifecycle
        self.limits = limits or RequestLimits()
        self.sources = sources
        self.scheduler: Scheduler[P, R] = Scheduler(engine, admission or AdmissionLimits(), metrics)
        build = {"version": __version__, "model": engine.model, "device": engine.device}
        metrics.watch(lifecycle, self.scheduler.load, build)

    def load(self) -> None:
        """Load the model and begin to serve; blocks.

        Raises:
            Exception: whatever the engine raised; the life cycle then says `failed`.
        """
        try:
            rehearsal = self.engine.load(self.lifecycle.phase)
        except BaseException:
            self.lifecycle.fail()
            raise
        gc.collect()
        gc.freeze()  # a full collection walks everything that was imported: 0.2 s in which nothing else runs
        self.scheduler.start(rehearsal)
        self.lifecycle.loaded()

    def load_in_background(self) -> Future[None]:
        """Load in a thread of its own, so that `/healthz` and `/metrics` answer meanwhile. A failure is logged, too."""
        loading: Future[None] = Future()

        def run() -> None:
            try:
                self.load()
            except Exception as error:
                logger.exception("the model could not be loaded")
                loading.set_exception(error)
            else:
                loading.set_result(None)

        threading.Thread(target=run, name="load", daemon=True).start()
        return loading


AnyService = Service[Any, Any]
