"""What all commands share: exit codes, errors in one line, a clean stop by signals."""

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

from streamcolor.errors import ConfigError, StreamcolorError

if TYPE_CHECKING:  # what a command needs is imported when it runs: --help stays quick
    from types import FrameType

OK, FAILED, USAGE, DAMAGED = 0, 1, 2, 3
BY_SIGNAL = 128  # plus the signal's number, as shells count
CHOOSING = ("streamcolor.backends", "streamcolor.sources.surfaces", "streamcolor.wiring")  # loggers

EXIT_CODES = """[bold]Exit codes[/]

0 done

1 failed: one line on standard error says why

2 the command line or the settings cannot be used

3 done, but the input is damaged: the output holds what could be read, a warning says what is missing

130 stopped by Ctrl-C, 143 by SIGTERM: nothing is left under the output's name

A camera has no end: to stop it, by Ctrl-C or SIGTERM, is 0, and its files are complete"""


class Stoppable(Protocol):
    """Work that can be asked to end soon, from a signal handler."""

    def stop(self) -> None:
        """Ask; takes no lock."""
        ...


@contextmanager
def stopped_by_signals(work: Stoppable) -> Iterator[list[int]]:
    """Turn the first Ctrl-C or SIGTERM into a clean stop; the second one does what it always does."""
    received: list[int] = []
    before: dict[int, Any] = {}  # what signal.signal takes and gives

    def handle(number: int, _: "FrameType | None") -> None:
        received.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)
        work.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, handle)
    try:
        yield received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def choices_said(*, quiet: bool) -> Iterator[None]:
    """Show on standard error what was chosen: what runs, why not another, that an engine is built, where planes lie."""
    before = {logger: logger.level for logger in map(logging.getLogger, CHOOSING)}
    handler = logging.StreamHandler(sys.stderr)
    if not quiet:
        for logger in before:
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.removeHandler(handler)
            logger.setLevel(level)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print an error of ours as one line, and exit with its code."""
    try:
        yield
    except StreamcolorError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(USAGE if isinstance(error, ConfigError) else FAILED) from error


def write_report(text: str, path: str, *, besides: str = "; the output itself is done") -> None:
    """Write a report to a file or, for -, to standard output; `besides` ends the error's line."""
    if path == "-":
        typer.echo(text, nl=False)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write the report {path}: {error.strerror}{besides}") from error
