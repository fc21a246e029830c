"""Run many cameras for as long as asked, cut them off again and again, and see whether anything grows."""

import argparse
import ctypes
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from camera_server import CameraServer, camera_clip, camera_server
from measure import write

from streamcolor.backends import open_backend
from streamcolor.colorizer import Colorizer
from streamcolor.engine import Engine
from streamcolor.live import LiveSettings, live_feed
from streamcolor.metrics import FeedCounts
from streamcolor.sinks.broadcast import Broadcast
from streamcolor.worker import share_heaps

SETTLING = 300.0  # seconds after which memory must not grow any more
LOOK_EVERY = 5.0  # seconds


@dataclass(frozen=True)
class Look:
    """What the process holds at a moment."""

    seconds: float  # since the start
    memory_kb: int  # resident
    heap_kb: int  # of it, what is in use of glibc's heaps: what is left when nothing leaks but room between things
    threads: int
    files: int  # descriptors
    frames: int  # written, of all cameras
    dropped: int
    reconnects: int


def look(began: float, counts: Sequence[FeedCounts]) -> Look:
    """Look at this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    status = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return Look(
        seconds=round(time.monotonic() - began, 1),
        memory_kb=int(status["VmRSS"].split()[0]),
        heap_kb=heap_in_use() // 1024,
        threads=int(status["Threads"]),
        files=len(list(Path("/proc/self/fd").iterdir())),
        frames=sum(each.write.frames for each in counts),
        dropped=sum(each.dropped for each in counts),
        reconnects=sum(each.reconnects for each in counts),
    )


def heap_in_use() -> int:
    """Return the bytes that are allocated by malloc, in all heaps and beside them; 0 with another C library."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return 0
    mallinfo2.restype = MallInfo
    found = mallinfo2()
    return int(found.uordblks + found.hblkhd)


class MallInfo(ctypes.Structure):
    """See mallinfo(3)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in [
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        ]
    )


def view(broadcast: Broadcast) -> None:
    """Watch as a browser would, and come back when the stream ends."""
    for _ in broadcast.subscribe():
        pass


def soak(
    camera: CameraServer, folder: Path, *, cameras: int, seconds: float, cut_every: float, model: str
) -> list[Look]:
    """Color `cameras` readers of one camera into HLS, each with a viewer; cut all connections now and then."""
    backend = open_backend("auto", model)
    engine = Engine(Colorizer(backend), batch=backend.batch)
    settings = [
        LiveSettings(f"camera{number}", camera.url, (f"hls:{folder / str(number)}",), preset="ultrafast")
        for number in range(cameras)
    ]
    pairs = [live_feed(each) for each in settings]
    for _, broadcast in pairs:
        threading.Thread(target=view, args=(broadcast,), daemon=True).start()
    began = cut = looked = time.monotonic()
    looks: list[Look] = []

    def watch(counts: dict[str, FeedCounts]) -> None:
        nonlocal cut, looked
        now = time.monotonic()
        if now - looked >= LOOK_EVERY:
            looked = now
            looks.append(look(began, list(counts.values())))
            print(looks[-1], flush=True)
        if cut_every and now - cut >= cut_every:
            cut = now
            camera.reset()
        if now - began >= seconds:
            engine.stop()

    engine.run([feed for feed, _ in pairs], watch=watch)
    for _, broadcast in pairs:
        broadcast.close()
    backend.close()
    return looks


def growth(looks: Sequence[Look]) -> dict[str, Any]:
    """Compare the first tenth after settling with the last tenth."""
    settled = [each for each in looks if each.seconds >= min(SETTLING, looks[-1].seconds / 5)]
    part = max(1, len(settled) // 10)
    early, late = settled[:part], settled[-part:]
    memory, heap = (
        [float(np.median([getattr(each, name) for each in some])) for some in (early, late)]
        for name in ("memory_kb", "heap_kb")
    )
    reconnects = late[-1].reconnects - early[0].reconnects
    return {
        "memory_mb": [round(each / 1000, 1) for each in memory],
        "memory_percent": round(100 * (memory[1] / memory[0] - 1), 2),
        "heap_mb": [round(each / 1000, 1) for each in heap],
        "kb_per_reconnect": round((memory[1] - memory[0]) / reconnects, 3) if reconnects else None,
        "threads": [min(each.threads for each in settled), max(each.threads for each in settled)],
        "files": [min(each.files for each in settled), max(each.files for each in settled)],
    }


def main() -> None:
    """Read the command line, run, write results/soak.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path, help="a real video")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--size", type=int, nargs=2, default=[320, 180], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--cut-every", type=float, default=50, help="seconds between cuts of all connections; 0: never")
    parser.add_argument("--model", default="tiny")
    given = parser.parse_args()
    share_heaps()  # as `streamcolor serve` does: before there are threads
    with TemporaryDirectory() as folder:
        clip = Path(folder) / "gray.mp4"
        camera_clip(given.clip, clip, size=tuple(given.size))
        with camera_server(clip) as camera:
            looks = soak(
                camera,
                Path(folder),
                cameras=given.cameras,
                seconds=60 * given.minutes,
                cut_every=given.cut_every,
                model=given.model,
            )
    every = max(1, len(looks) // 60)
    result = {
        "cameras": given.cameras,
        "size": given.size,
        "minutes": given.minutes,
        "tunables": os.environ.get("GLIBC_TUNABLES", ""),
        "last": asdict(looks[-1]),
    }
    write("soak", {**result, "growth": growth(looks), "looks": [asdict(each) for each in looks[::every]]})


if __name__ == "__main__":
    main()
