"""`streamcolor run`: colors one input."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from streamcolor.cli.outcomes import BY_SIGNAL, DAMAGED, OK, choices_said, one_line_errors, stopped_by_signals
from streamcolor.errors import ConfigError

if TYPE_CHECKING:  # what a command needs is imported when it runs: --help stays quick
    from streamcolor.colorizer import Every
    from streamcolor.report import Report
    from streamcolor.settings import Settings


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
        Literal["auto", "openvino", "onnx", "torch", "tensorrt"],
        typer.Option(help="What runs the network; auto: the fastest that is installed, on a GPU if there is one."),
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
    hwaccel: Annotated[
        Literal["auto", "cuda", "off"],
        typer.Option(help="Decode on an NVIDIA GPU; auto: if torch can use it too, and what it can decode."),
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
    with one_line_errors():
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
            hwaccel=hwaccel,
            lightness=lightness,
            every=frequency,
            overwrite=overwrite,
        )
        raise typer.Exit(_run(settings, quiet=quiet, json=json))


def _run(settings: "Settings", *, quiet: bool, json: str | None) -> int:
    """Do the work and give the exit code."""
    from streamcolor.paths import check_report  # noqa: PLC0415
    from streamcolor.progress import progress  # noqa: PLC0415
    from streamcolor.wiring import Job  # noqa: PLC0415

    job = Job(settings)
    if json not in (None, "-"):
        check_report(json, settings.input, settings.output)
    with (
        choices_said(quiet=quiet),
        stopped_by_signals(job) as signals,
        progress(sys.stderr, quiet=quiet) as show,
    ):
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


def _every(text: str) -> "Every":
    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is neither auto nor a number") from error
