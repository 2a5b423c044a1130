"""The command tree, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import structlog
import typer

from autoscaler import __version__
from autoscaler.cli import check, compare, exits, explain, pause, release, replay, rerun, status, trace
from autoscaler.cli import run as run_command
from autoscaler.model import InvalidInput, Unreachable

app = typer.Typer(
    name="autoscaler",
    help="Scale GPU speech services on Kubernetes ahead of demand; replay any policy before it is trusted.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    _asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options before the command."""
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))  # results alone go to stdout


app.command("check")(check.check)
app.command("compare")(compare.compare)
app.command("explain")(explain.explain)
app.command("replay")(replay.replay)
app.command("run")(run_command.run)
app.command("pause")(pause.pause)
app.command("resume")(pause.resume)
app.command("rerun")(rerun.rerun)
app.command("release")(release.release)
app.command("status")(status.status)
app.add_typer(trace.app)


def _unwritable(error: OSError) -> NoReturn:
    """The standard output is full or gone. A reader that left early (`| head`) is no fault."""
    if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EPIPE):
        raise error
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - the interpreter flushes it at its end
    if isinstance(error, BrokenPipeError):
        sys.exit(exits.OK)
    typer.echo(f"standard output: {error.strerror or error}", err=True)
    sys.exit(exits.USAGE)


def run() -> None:
    """Run the command line; bad input ends with exit code 2, an unreachable server with 3, Ctrl-C with 130."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without UTF-8 shows what it has no sign for as `?`
            stream.reconfigure(errors="replace")
    try:
        try:
            app(standalone_mode=True)
        finally:
            sys.stdout.flush()
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # typer makes 1 of it, which is a finding here
            sys.exit(exits.OK)
        raise
    except OSError as error:
        _unwritable(error)
    except InvalidInput as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        sys.exit(exits.USAGE)
    except Unreachable as error:
        typer.echo(str(error), err=True)
        sys.exit(exits.UNREACHABLE)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(exits.INTERRUPTED)
