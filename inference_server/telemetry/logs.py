"""Logs as JSON, one object a line, with the ids of the request they belong to."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
from datetime import UTC, datetime
from pathlib import Path

from inference_server.errors import InvalidOption
from inference_server.telemetry.context import current

USAGE = "inference_server.usage"
"""Logger of usage records: who used how much."""


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, request_id, trace_id, and the fields of `extra={"fields": {…}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        context = current.get()
        if context is not None:
            entry |= {"request_id": context.request_id, "trace_id": context.trace_id}
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class _UsageFile(logging.handlers.WatchedFileHandler):
    """A record that cannot be written goes to the log: it is what is billed, and no reason to fail a request."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # the file was moved away, and cannot be opened anew
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 logging's name
        root = logging.getLogger()
        root.error("the usage file cannot be written: %s", sys.exception())
        root.handle(record)


def configure_logging(level: str, usage_file: Path | None) -> None:
    """JSON to stderr for everything; usage records to their own file, where one is named.

    The file is opened anew when it was moved away, so that it can be rotated.

    Raises:
        InvalidOption: the file cannot be written.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    usage = logging.getLogger(USAGE)
    usage.setLevel(logging.INFO)
    if usage_file is not None:
        try:
            to_file = _UsageFile(usage_file, encoding="utf-8")
        except OSError as error:
            raise InvalidOption(f"--usage-file {usage_file}: {error.strerror}") from error
        to_file.setFormatter(JsonFormatter())
        usage.addHandler(to_file)
        usage.propagate = False
