"""The command line: one module a command, each thin. Heavy parts are imported when a command runs."""

from __future__ import annotations


def main() -> None:
    """Entry point of `autoscaler`."""
    from autoscaler.cli.app import run

    run()
