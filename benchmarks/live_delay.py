"""Measure the delay that coloring adds to a camera: from a picture's arrival to its colored packet."""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from camera_server import camera_clip, camera_server
from measure import write

from streamcolor.backends import open_backend
from streamcolor.colorizer import Colorizer
from streamcolor.engine import Engine, Feed
from streamcolor.frames import Frame, Item, StreamInfo
from streamcolor.live import LiveSettings, live_feed
from streamcolor.sinks import Sink

WARM_UP = 3.0  # seconds that are not counted: the network is being compiled


class Stopwatch:
    """A sink around another that notes how old each picture is when it has been taken."""

    def __init__(self, sink: Sink, note: Callable[[float], None]) -> None:
        self._sink, self._note = sink, note
        self.warnings = sink.warnings
        self.finish, self.close = sink.finish, sink.close

    def open(self, info: StreamInfo) -> None:
        """Get ready."""
        self._sink.open(info)

    def write(self, item: Item) -> None:
        """Pass on, and note the age."""
        self._sink.write(item)
        if isinstance(item, Frame):
            self._note(time.monotonic() - item.captured)


def timed(feed: Feed, note: Callable[[float], None]) -> Feed:
    """Return the same feed with a stopwatch at its end."""
    make_sink = feed.make_sink
    return replace(feed, make_sink=lambda: Stopwatch(make_sink(), note))


def measure(url: str, *, cameras: int, seconds: float, model: str) -> dict[str, object]:
    """Color `cameras` readers of one address for some time; give the quantiles of all delays, in milliseconds."""
    backend = open_backend("auto", model)
    engine = Engine(Colorizer(backend), batch=backend.batch)
    ages: list[list[tuple[float, float]]] = [[] for _ in range(cameras)]  # of each camera: (moment, age)
    pairs = [live_feed(LiveSettings(f"camera{number}", url)) for number in range(cameras)]
    feeds = [
        timed(feed, lambda age, of=of: of.append((time.monotonic(), age)))
        for (feed, _), of in zip(pairs, ages, strict=True)
    ]
    began, cpu = time.monotonic(), time.process_time()

    def watch(_: object) -> None:
        if time.monotonic() - began > WARM_UP + seconds:
            engine.stop()

    engine.run(feeds, watch=watch)
    busy = (time.process_time() - cpu) / (time.monotonic() - began)
    for _, broadcast in pairs:
        broadcast.close()
    backend.close()
    counted = [[1000 * age for moment, age in of if moment - began > WARM_UP] for of in ages]
    rates = [len(of) / seconds for of in counted]
    every = np.concatenate(counted)
    return {
        "cameras": cameras,
        "fps_each": [round(min(rates), 2), round(max(rates), 2)],
        "dropped": sum(each.dropped for each in engine.snapshot().values()),
        "busy_cores": round(busy, 2),
        "delay_ms": {f"p{share}": round(float(np.percentile(every, share)), 1) for share in (50, 95, 99)},
    }


def main() -> None:
    """Read the command line, measure, write results/live_delay.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path, help="a real video; it is brought to 640x360")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--cameras", type=int, nargs="+", default=[1], help="how many at once; one run for each number")
    parser.add_argument("--model", default="tiny")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        clip = Path(folder) / "gray.mp4"
        camera_clip(given.clip, clip, size=(640, 360))
        with camera_server(clip) as camera:
            runs = [
                measure(camera.url, cameras=count, seconds=given.seconds, model=given.model) for count in given.cameras
            ]
    goal = "p95 at most 60 ms for one camera, from the picture's arrival (after FFmpeg's parser) to its colored packet"
    write("live_delay", {"clip": given.clip.name, "size": [640, 360], "goal": goal, "runs": runs})


if __name__ == "__main__":
    main()
