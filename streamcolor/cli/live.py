"""`streamcolor run` of a camera: as long as it is wanted, with a line that says how it goes."""

import logging
import re
import sys
from typing import TYPE_CHECKING, Literal, NamedTuple

import typer

from streamcolor.cli.outcomes import OK, stopped_by_signals, write_report
from streamcolor.errors import ConfigError

if TYPE_CHECKING:
    from streamcolor.settings import Settings

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


class Camera(NamedTuple):
    """What only a camera's run has."""

    outputs: tuple[str, ...]
    segment: str | None
    transport: Literal["tcp", "udp"]
    freeze: float


def run_live(settings: "Settings", camera: Camera, *, quiet: bool, json: str | None) -> int:
    """Color until a signal comes, and give the exit code."""
    from streamcolor.live import LiveJob, LiveSettings, name_of  # noqa: PLC0415
    from streamcolor.paths import check_report  # noqa: PLC0415
    from streamcolor.progress import live_status  # noqa: PLC0415

    if settings.hwaccel == "cuda":
        raise ConfigError("hwaccel cuda is for files: a camera is decoded by the processor")
    live = LiveSettings(
        name_of(settings.input),
        settings.input,
        camera.outputs,
        transport=camera.transport,
        freeze=camera.freeze,
        deinterlace=settings.deinterlace,
        codec=settings.codec,
        crf=settings.crf,
        preset=settings.preset,
        segment=None if camera.segment is None else seconds_of(camera.segment),
        overwrite=settings.overwrite,
    )
    if json not in (None, "-"):
        for output in camera.outputs:
            check_report(json, settings.input, output)
    job = LiveJob(settings, live)
    level = logging.ERROR if quiet else logging.INFO
    with stopped_by_signals(job), live_status(sys.stderr, level=level) as show:
        report = job.run(show)
    if not quiet:
        typer.echo(report.summary(), err=True)
    if json is not None:
        write_report(report.as_json(), json)
    return OK


def seconds_of(text: str) -> float:
    """Read a length of time such as 90, 90s, 10m or 1.5h."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is no length of time: write 90s, 10m or 1h")
    return float(match[1]) * _UNITS[match[2]]
