"""`streamcolor serve`: a station with its network, the page before it, and a first look at each camera."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from streamcolor import __version__
from streamcolor.backends import open_backend
from streamcolor.config import Camera, Config
from streamcolor.engine import Engine
from streamcolor.errors import ConfigError, StreamcolorError
from streamcolor.live import live_feed
from streamcolor.looks import Looks
from streamcolor.sinks.synthetic import synthetic_color
from streamcolor.station import Station, live_settings
from streamcolor.worker import share_heaps

if TYPE_CHECKING:
    from streamcolor.web.server import WebServer


@contextmanager
def open_station(config: Config) -> Iterator[Station]:
    """Open the network that all cameras share. Raises StreamcolorError."""
    share_heaps()
    backend = open_backend(config.backend, config.model)
    try:
        looks = Looks(backend)
        tag = synthetic_color(version=__version__, network=backend.network.name)
        yield Station(Engine(looks, batch=backend.batch), looks, partial(live_feed, tag=tag))
    finally:
        backend.close()


@contextmanager
def show_page(station: Station, host: str, port: int, password: str | None) -> Iterator["WebServer"]:
    """Serve the page; if its thread fails, the station stops, and what it raised is raised here."""
    try:
        from streamcolor.web.app import make_app  # noqa: PLC0415  # an extra, which may be absent
        from streamcolor.web.guard import Password  # noqa: PLC0415
        from streamcolor.web.server import WebServer  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"the page needs {error.name}, which is not installed: pip install 'streamcolor[web]', or give --no-web"
        ) from error
    app = make_app(station, password=Password(password) if password else None)
    server = WebServer(app, host, port, on_end=lambda _: station.stop())
    try:
        yield server
    finally:
        failure = server.close()
    if failure:
        raise failure


@dataclass(frozen=True)
class Probe:
    """What became of opening a camera once."""

    camera: str
    outcome: Literal["ok", "failed", "off"]
    text: str


def probe_all(config: Config) -> Iterator[Probe]:
    """Open each camera once, all at the same time, and wait for its first picture."""
    with ThreadPoolExecutor(max(1, len(config.cameras)), "probe") as threads:
        yield from threads.map(_probe, config.cameras, config.cameras.values())


def _probe(name: str, camera: Camera) -> Probe:
    if not camera.enabled:
        return Probe(name, "off", "")
    began, stream = time.monotonic(), f"{name}/check"
    try:
        feed, broadcast = live_feed(live_settings(name, camera))
        try:
            source = feed.connect(stream)
            info = source.info
            source.close()
        finally:
            broadcast.close()
    except StreamcolorError as error:
        return Probe(name, "failed", str(error).removeprefix(f"{stream}: "))
    rate = f" {float(info.rate):g} fps" if info.rate > 0 else ""
    return Probe(name, "ok", f"{info.width}x{info.height}{rate}, first picture after {time.monotonic() - began:.1f} s")
