"""The command line: reads arguments, calls wiring, turns outcomes into exit codes."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from streamcolor import __version__
from streamcolor.errors import ConfigError, StreamcolorError

if TYPE_CHECKING:  # what a command needs is imported when it runs: --help stays quick
    from types import FrameType

    from streamcolor.colorizer import Every
    from streamcolor.report import Report
    from streamcolor.settings import Settings
    from streamcolor.wiring import Job

OK, FAILED, USAGE, DAMAGED = 0, 1, 2, 3
BY_SIGNAL = 128  # plus the signal's number, as shells count

EXIT_CODES = """[bold]Exit codes[/]

0 done

1 failed: one line on standard error says why

2 the command line or the settings cannot be used

3 done, but the input is damaged: the output holds what could be read, a warning says what is missing

130 stopped by Ctrl-C, 143 by SIGTERM: nothing is left under the output's name"""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # a traceback is for us: plain, complete, fit to be pasted
    help="Turn gray video into color video, at real-time speed on two processor cores.",
    epilog=EXIT_CODES,
)


def _show_version(value: bool) -> None:  # noqa: FBT001  # Typer calls it so
    if value:
        typer.echo(f"streamcolor {__version__}")
        raise typer.Exit


def _every(text: str) -> "Every":
    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is neither auto nor a number") from error


@app.callback()
def main(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Turn gray video into color video, at real-time speed on two processor cores."""


@app.command(epilog=EXIT_CODES)
def run(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="A video file or URL, a picture, or a folder of pictures.")
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="OUTPUT",
            help="A file .mp4 .mkv .mov .webm .ts, a picture, a folder/ of pictures, or - for standard output.",
        ),
    ],
    *,
    model: Annotated[
        str, typer.Option(help="A shipped network (see `models`), or the path of an .onnx file.")
    ] = "tiny",
    backend: Annotated[
        Literal["auto", "openvino", "onnx", "torch"],
        typer.Option(help="What runs the network; auto: the fastest that is installed."),
    ] = "auto",
    codec: Annotated[
        str | None, typer.Option(help="FFmpeg's encoder, such as libx265.", show_default="by container: libx264, …")
    ] = None,
    crf: Annotated[int, typer.Option(help="Quality of the encoder: lower is better and larger.")] = 18,
    preset: Annotated[str, typer.Option(help="Speed of the encoder: ultrafast … veryslow.")] = "veryfast",
    saturation: Annotated[float, typer.Option(help="Strength of the colors: 0 gray, 1 as predicted, up to 4.")] = 1.0,
    vividness: Annotated[
        float | None,
        typer.Option(help="From 0, careful, to 1, bold, where the network is unsure.", show_default="by network"),
    ] = None,
    when_colored: Annotated[
        Literal["keep", "replace"],
        typer.Option(help="Scenes that are in color already: keep their colors, or replace them."),
    ] = "keep",
    deinterlace: Annotated[
        Literal["auto", "on", "off"], typer.Option(help="Deinterlace with bwdif; auto: what is flagged as interlaced.")
    ] = "auto",
    lightness: Annotated[
        Literal["luma", "exact"],
        typer.Option(help="What stays as it is: Y' bit for bit (luma), or L* (exact)."),
    ] = "luma",
    every: Annotated[
        str,
        typer.Option(
            metavar="auto|N",
            help="Predict when the picture changes, or every N-th frame (cuts always); 1: every frame.",
        ),
    ] = "auto",
    overwrite: Annotated[bool, typer.Option("-y", "--overwrite", help="Overwrite the output if it exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write a report (frames, fps, time per stage, warnings) to FILE or -."),
    ] = None,
) -> None:
    """Color INPUT and write OUTPUT: same pictures, same timing, same sound and subtitles.

    The output appears under its name when it is complete, and says in its metadata that its color is synthetic.

    [bold]Examples[/]

      streamcolor run film.mkv film-color.mkv

      streamcolor run scan.jpg scan-color.jpg

      streamcolor run gate.mp4 color.mp4 --crf 23 --saturation 0.8 --json report.json

      streamcolor run film.mp4 - | ffplay -
    """
    from streamcolor.settings import Settings  # noqa: PLC0415

    if json == "-" and target == "-":
        raise typer.BadParameter("standard output cannot hold both the video and the report", param_hint="--json")
    frequency = _every(every)
    with _one_line_errors():
        settings = Settings(
            source,
            target,
            model=model,
            backend=backend,
            codec=codec,
            crf=crf,
            preset=preset,
            saturation=saturation,
            vividness=vividness,
            when_colored=when_colored,
            deinterlace=deinterlace,
            lightness=lightness,
            every=frequency,
            overwrite=overwrite,
        )
        raise typer.Exit(_run(settings, quiet=quiet, json=json))


@app.command()
def models() -> None:
    """List the networks that ship with streamcolor, with the figures of their cards."""
    from streamcolor.backends import known_models  # noqa: PLC0415
    from streamcolor.doctor import figures  # noqa: PLC0415

    with _one_line_errors():
        for name in known_models():
            typer.echo(name)
            for what, how_much in figures(name):
                typer.echo(f"  {what:<12} {how_much}")


@app.command(name="doctor")
def examine() -> None:
    """Show versions, which backends work here and why others do not, and the known encoders."""
    from streamcolor import doctor  # noqa: PLC0415
    from streamcolor.backends import known_models  # noqa: PLC0415
    from streamcolor.sinks.encoders import known_encoders  # noqa: PLC0415

    typer.echo(f"streamcolor {__version__} on {doctor.machine()}")
    typer.echo("packages   " + ", ".join(f"{name} {number}" for name, number in doctor.packages().items()))
    typer.echo("encoders   " + ", ".join(known_encoders()))
    typer.echo("models     " + (", ".join(known_models()) or "none"))
    backends = doctor.backends()
    for name, outcome in backends.items():
        typer.echo(f"backend    {name}: {outcome}")
    if not any(outcome.startswith("works") for outcome in backends.values()):
        raise typer.Exit(FAILED)


def _run(settings: "Settings", *, quiet: bool, json: str | None) -> int:
    """Do the work and give the exit code."""
    from streamcolor.paths import check_report  # noqa: PLC0415
    from streamcolor.progress import progress  # noqa: PLC0415
    from streamcolor.wiring import Job  # noqa: PLC0415

    job = Job(settings)
    if json not in (None, "-"):
        check_report(json, settings.input, settings.output)
    with _stopped_by_signals(job) as signals, progress(sys.stderr, quiet=quiet) as show:
        report = job.run(show)
    if signals and not report.finished:
        typer.echo("stopped: the output is not kept", err=True)
        return BY_SIGNAL + signals[0]
    if not quiet:
        for warning in report.warnings:
            typer.echo(f"warning: {warning}", err=True)
        typer.echo(report.summary(), err=True)
    if json is not None:
        _write_report(report, json)
    return OK if report.complete else DAMAGED


def _write_report(report: "Report", path: str) -> None:
    if path == "-":
        typer.echo(report.as_json(), nl=False)
        return
    try:
        Path(path).write_text(report.as_json(), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write the report {path}: {error.strerror}; the output itself is done") from error


@contextmanager
def _stopped_by_signals(job: "Job") -> Iterator[list[int]]:
    """Turn the first Ctrl-C or SIGTERM into a clean stop; the second one does what it always does."""
    received: list[int] = []
    before: dict[int, Any] = {}  # what signal.signal takes and gives

    def handle(number: int, _: "FrameType | None") -> None:
        received.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)
        job.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, handle)
    try:
        yield received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except StreamcolorError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(USAGE if isinstance(error, ConfigError) else FAILED) from error
