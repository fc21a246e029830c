"""`streamcolor serve`: colors many cameras, and shows them."""

import logging
import os
import signal
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamcolor.cli.outcomes import FAILED, OK, one_line_errors, stopped_by_signals
from streamcolor.errors import ConfigError
from streamcolor.urls import is_local, keep_secret, shown

if TYPE_CHECKING:  # what a command needs is imported when it runs: --help stays quick
    from streamcolor.config import Config

PASSWORD = "STREAMCOLOR_PASSWORD"  # noqa: S105  # the variable's name


def serve(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The cameras, in YAML.")],
    *,
    host: Annotated[str, typer.Option(help="Where the page listens; 0.0.0.0: for the whole network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The page's port; 0: any free one.")] = 8080,
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"Holds the page's password; without it {PASSWORD} does, or beyond localhost one that is made up.",
        ),
    ] = None,
    web: Annotated[bool, typer.Option("--web/--no-web", help="Serve the page, the API and the metrics.")] = True,
    check: Annotated[
        bool, typer.Option("--check", help="Check FILE, open each camera once, say how it went, and exit.")
    ] = False,
) -> None:
    """Color all cameras of FILE with one network until Ctrl-C or SIGTERM; SIGHUP reads FILE again.

    Cameras that are away are tried for ever; whatever happens to one costs the others nothing.

    [bold]Examples[/]

      streamcolor serve cameras.yaml --check

      streamcolor serve cameras.yaml

      streamcolor serve cameras.yaml --host 0.0.0.0 --password-file /run/secrets/page
    """
    from streamcolor.config import load  # noqa: PLC0415

    with one_line_errors():
        config = load(file)
        if check:
            raise typer.Exit(_check(config))
        _log_to_standard_error()
        raise typer.Exit(_serve(file, config, host=host, port=port, password=_password(password_file, host), web=web))


def _serve(file: Path, config: "Config", *, host: str, port: int, password: str | None, web: bool) -> int:
    from streamcolor.config import load  # noqa: PLC0415
    from streamcolor.serving import open_station, show_page  # noqa: PLC0415

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # or one that comes early would end us
    with ExitStack() as stack:
        station = stack.enter_context(open_station(config))
        signal.signal(signal.SIGHUP, lambda *_: station.reload(partial(load, file)))
        stack.enter_context(stopped_by_signals(station))
        if web:
            page = stack.enter_context(show_page(station, host, port, password))
            typer.echo(f"the page is at {page.address}", err=True)
        station.run(config)
    return OK


def _check(config: "Config") -> int:
    """Print a line for each camera."""
    from streamcolor.serving import probe_all  # noqa: PLC0415

    width = max((len(name) for name in config.cameras), default=0)
    code = OK
    for probe in probe_all(config):
        typer.echo(f"{probe.camera:<{width}}  {probe.outcome:<6}  {probe.text}".rstrip())
        code = FAILED if probe.outcome == "failed" else code
    return code


def _password(file: Path | None, host: str) -> str | None:
    """Read the password, or make one up and show it, where others could come by."""
    if file is not None:
        try:
            password = file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ConfigError(f"cannot read the password in {file}: {reason}") from error
        if not password:
            raise ConfigError(f"the password in {file} is empty")
    else:
        password = os.environ.get(PASSWORD, "")
    if not password and not is_local(host):
        from secrets import token_urlsafe  # noqa: PLC0415

        password = token_urlsafe(12)
        typer.echo(f"the page's password until the next start: {password}", err=True)
    keep_secret(password)
    return password or None


class _Masked(logging.Formatter):
    """Hides what is secret, whoever wrote it."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))


def _log_to_standard_error() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Masked("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
