"""The command line: one module a command, each thin. Heavy parts are imported when a command runs."""

from __future__ import annotations

from autoscaler.cli import exits


def main() -> None:
    """Entry point of `autoscaler`."""
    try:
        from autoscaler.cli.app import run
    except KeyboardInterrupt:  # what is imported takes a second
        raise SystemExit(exits.INTERRUPTED) from None
    run()
