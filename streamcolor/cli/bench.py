"""`streamcolor bench`: how fast this machine colors, and why not faster."""

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamcolor.cli.outcomes import BY_SIGNAL, OK, one_line_errors, stopped_by_signals, write_report
from streamcolor.errors import ConfigError

if TYPE_CHECKING:  # what a command needs is imported when it runs: --help stays quick
    from streamcolor.bench.run import Options


def bench(
    source: Annotated[
        str | None, typer.Argument(metavar="[INPUT]", help="A video; without one, a clip is made up.")
    ] = None,
    *,
    model: Annotated[
        str, typer.Option(help="A shipped network (see `models`), or the path of an .onnx file.")
    ] = "tiny",
    backend: Annotated[
        str, typer.Option(metavar="auto|all|NAME", help="What runs the network; all: compare those that work here.")
    ] = "auto",
    batch: Annotated[
        int | None, typer.Option(help="Pictures that the network gets at once.", show_default="by backend")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="360p … 1080p, 4k or WIDTHxHEIGHT.", show_default="INPUT's own, or 720p")
    ] = None,
    codec: Annotated[str, typer.Option(help="FFmpeg's encoder, such as libx265.")] = "libx264",
    preset: Annotated[str, typer.Option(help="Speed of the encoder: ultrafast … veryslow.")] = "veryfast",
    seconds: Annotated[float, typer.Option(help="Length of the clip.")] = 10.0,
    streams: Annotated[int, typer.Option(help="Cameras at once, for delay and losses.")] = 1,
    json: Annotated[str | None, typer.Option(metavar="FILE", help="Write all figures to FILE or -.")] = None,
    chart: Annotated[str | None, typer.Option(metavar="FILE", help="Draw them: FILE.svg or FILE.png.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table.")] = False,
) -> None:
    """Measure how fast this machine colors, where the time goes and what would make it faster: about a minute.

    All works are done in turn, three times; figures are medians, with the least and the most beside them.

    [bold]Examples[/]

      streamcolor bench

      streamcolor bench film.mkv --size 1080p --chart speed.svg

      streamcolor bench --backend all --json speed.json

      streamcolor bench --streams 4
    """
    with one_line_errors():
        from streamcolor.bench.run import Options  # noqa: PLC0415

        options = Options(
            source,
            model=model,
            backend=backend,
            batch=batch,
            size=size,
            codec=codec,
            preset=preset,
            seconds=seconds,
            streams=streams,
        )
        raise typer.Exit(_bench(options, json=json, chart=chart, quiet=quiet))


def _bench(options: "Options", *, json: str | None, chart: str | None, quiet: bool) -> int:
    """Do the work and give the exit code."""
    from streamcolor.bench.chart import check_chart, write_charts  # noqa: PLC0415
    from streamcolor.bench.run import Bench  # noqa: PLC0415
    from streamcolor.bench.summary import charts, text  # noqa: PLC0415
    from streamcolor.progress import steps  # noqa: PLC0415

    for path in (json, chart):
        _check_file(path)
    if chart is not None:
        check_chart(chart)
    with steps(sys.stderr, quiet=quiet) as watch:
        work = Bench(options, watch)
        with stopped_by_signals(work) as signals:
            result = work.run()
    if result is None:
        typer.echo("stopped: nothing was measured to its end", err=True)
        return BY_SIGNAL + signals[0]
    if not quiet:
        for line in text(result):
            typer.echo(line, err=json == "-")
    if json is not None:
        write_report(json_module.dumps(result, indent=1) + "\n", json, besides="")
    if chart is not None:
        write_charts(charts(result), Path(chart))
    return OK


def _check_file(path: str | None) -> None:
    if path not in (None, "-") and (Path(path).is_dir() or not Path(path).absolute().parent.is_dir()):
        raise ConfigError(f"cannot write {path}: name a file in a folder that exists")
