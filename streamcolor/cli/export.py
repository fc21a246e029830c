"""`streamcolor export`: a network with all that is done before and after it, for a GPU."""

import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from streamcolor.cli.outcomes import BY_SIGNAL, one_line_errors, stopped_by_signals
from streamcolor.errors import ConfigError

NEEDED = ("torch", "onnx", "onnxscript", "onnxruntime")


def export(
    *,
    model: Annotated[
        str, typer.Option(help="A shipped network (see `models`), or the path of an .onnx file.")
    ] = "tiny",
    to: Annotated[
        Literal["onnx", "tensorrt"],
        typer.Option(
            help="A graph, or an engine: with tensorrt for the GPU of this machine, with tensorrt_rtx for any."
        ),
    ] = "onnx",
    precision: Annotated[
        Literal["fp32", "fp16", "int8"], typer.Option(help="Of the network's arithmetic and of full-size planes.")
    ] = "fp16",
    batch: Annotated[
        str,
        typer.Option(
            metavar="MIN,USUAL,MAX", help="How many pictures at once an engine takes; a graph takes any number."
        ),
    ] = "1,16,64",
    size: Annotated[
        str, typer.Option(metavar="HEIGHTxWIDTH", help="Of the pictures, in this order; fixed in what is exported.")
    ] = "1080x1920",
    matrix: Annotated[Literal["bt601", "bt709", "bt2020"], typer.Option(help="Of the pictures' Y'CbCr.")] = "bt709",
    levels: Annotated[
        Literal["limited", "full"], typer.Option("--range", help="Of the pictures' codes: 16 to 235, or 0 to 255.")
    ] = "limited",
    layout: Annotated[
        Literal["planar", "nv12"], typer.Option(help="Cb and Cr as planes of their own, or interleaved for NVENC.")
    ] = "planar",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Where to write.", show_default="a name that says all this"
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("-y", "--overwrite", help="Overwrite the output if it exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    r"""Write a network as one graph for a GPU: a uint8 Y' plane in, uint8 Cb and Cr out.

    Shrinking, lightness, color space and enlarging are in it. It is compared with the ordinary way on test pictures
    before anything is written. Needs pip install 'streamcolor\[train]', engines also TensorRT.

    [bold]Examples[/]

      streamcolor export --to onnx --size 1080x1920

      streamcolor export --to tensorrt --batch 1,8,32 --layout nv12 -o film.plan
    """
    with one_line_errors():
        _check_installed()
        from streamcolor.backends.fused import Fusion  # noqa: PLC0415
        from streamcolor.export import export  # noqa: PLC0415
        from streamcolor.frames import ColorSpace, Matrix  # noqa: PLC0415
        from streamcolor.progress import steps  # noqa: PLC0415

        height, width = _numbers(size, "x", 2, option="--size")
        space = ColorSpace(Matrix[matrix.upper()], full_range=levels == "full")
        fusion = Fusion(width, height, space, precision, layout)
        numbers = _numbers(batch, ",", 3, option="--batch")
        stop = _Stop()
        with stopped_by_signals(stop) as signals, steps(sys.stderr, quiet=quiet) as show:
            try:
                made = export(
                    model,
                    fusion,
                    to=to,
                    batch=numbers,
                    output=output,
                    overwrite=overwrite,
                    watch=lambda what, part: show(what, part) or not stop.asked,
                )
            except KeyboardInterrupt:
                typer.echo("stopped: nothing is written", err=True)
                raise typer.Exit(BY_SIGNAL + (signals or [signal.SIGINT])[0]) from None
        if not quiet:
            cb, cr = made.deviation
            size_said = f"{made.path}: {made.bytes / 1e6:.1f} MB"
            typer.echo(f"{size_said}, on average {cb:.2f} (Cb) and {cr:.2f} (Cr) codes off the processor's", err=True)


class _Stop:
    """A wish to end, from a signal; it is granted between two steps, and within the building of an engine."""

    asked = False

    def stop(self) -> None:
        self.asked = True


def _check_installed() -> None:
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ConfigError(f"export needs {', '.join(missing)}: pip install 'streamcolor[train]'")


def _numbers(text: str, separator: str, count: int, *, option: str) -> tuple[int, ...]:
    try:
        numbers = tuple(map(int, text.lower().split(separator)))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise typer.BadParameter(f"{text!r} is not {count} numbers with {separator!r} between them", param_hint=option)
    return numbers
