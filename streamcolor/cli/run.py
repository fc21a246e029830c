"""`streamcolor run`: colors one input."""

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from streamcolor.cli.live import Camera, run_live
from streamcolor.cli.outcomes import (
    BY_SIGNAL,
    DAMAGED,
    OK,
    choices_said,
    one_line_errors,
    stopped_by_signals,
    write_report,
)
from streamcolor.errors import ConfigError

if TYPE_CHECKING:  # what a command needs is imported when it runs: --help stays quick
    from streamcolor.colorizer import Every
    from streamcolor.settings import Settings


def run(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="A video file or URL, a picture, a folder of pictures, or a camera.")
    ],
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="OUTPUT...",
            help="A file .mp4 .mkv .mov .webm .ts, a picture, a folder/ of pictures, or - for standard output. "
            "Of a camera any number: files, - (MPEG-TS), rtsp://… to publish, hls:FOLDER.",
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
    crf: Annotated[
        int | None, typer.Option(help="Quality of the encoder: lower is better and larger.", show_default="18, live 23")
    ] = None,
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
    live: Annotated[
        bool | None,
        typer.Option("--live/--no-live", help="Whether INPUT is a camera.", show_default="by its address"),
    ] = None,
    segment: Annotated[
        str | None, typer.Option(metavar="TIME", help="Live: begin a new file after 90s, 10m, 1h, …")
    ] = None,
    transport: Annotated[Literal["tcp", "udp"], typer.Option(help="Live: how RTSP carries the video.")] = "tcp",
    freeze: Annotated[float, typer.Option(help="Live: seconds without a picture until it is opened again.")] = 3.0,
    overwrite: Annotated[bool, typer.Option("-y", "--overwrite", help="Overwrite the output if it exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write a report (frames, fps, time per stage, warnings) to FILE or -."),
    ] = None,
) -> None:
    """Color INPUT and write OUTPUT: same pictures, same timing, same sound and subtitles.

    The output appears under its name when it is complete, and says in its metadata that its color is synthetic.

    A camera is colored until Ctrl-C or SIGTERM, into as many outputs as are named, from one encode; it and servers
    that publish it may go away and come back.

    [bold]Examples[/]

      streamcolor run film.mkv film-color.mkv

      streamcolor run scan.jpg scan-color.jpg

      streamcolor run gate.mp4 color.mp4 --crf 23 --saturation 0.8 --json report.json

      streamcolor run film.mp4 - | ffplay -

      streamcolor run rtsp://user:pass@camera/stream rtsp://server/gate gate-%H%M.mp4 --segment 10m
    """
    from streamcolor.paths import is_live  # noqa: PLC0415
    from streamcolor.settings import Settings  # noqa: PLC0415

    if json == "-" and "-" in targets:
        raise typer.BadParameter("standard output cannot hold both the video and the report", param_hint="--json")
    frequency = _every(every)
    with one_line_errors():
        is_camera = is_live(source) if live is None else live
        if len(targets) > 1 and not is_camera:
            raise ConfigError("only a camera has several outputs: name one, or say --live")
        settings = Settings(
            source,
            targets[0],
            model=model,
            backend=backend,
            codec=codec,
            crf=crf if crf is not None else 23 if is_camera else 18,
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
        if is_camera:
            camera = Camera(tuple(targets), segment=segment, transport=transport, freeze=freeze)
            raise typer.Exit(run_live(settings, camera, quiet=quiet, json=json))
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
        write_report(report.as_json(), json)
    return OK if report.complete else DAMAGED


def _every(text: str) -> "Every":
    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is neither auto nor a number") from error
