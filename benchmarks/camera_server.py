"""An RTSP camera in a process of its own, so that its work is not counted as ours. It obeys words on standard input."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamcolor.bench.clip import take
from streamcolor.sinks.mux import MuxSink
from streamcolor.sources.av_source import AvSource

TESTS = Path(__file__).parent.parent / "tests"


def camera_clip(source: Path, out: Path, *, size: tuple[int, int], seconds: float = 20) -> None:
    """Write what a gray camera would send of a video: a key frame every 25 pictures, nothing reordered."""
    unit = out.with_suffix(".unit.mp4")
    take(str(source), unit, seconds=seconds, size=size)
    read = AvSource("unit", str(unit))
    sink = MuxSink(out, options={"x264-params": "bframes=0:keyint=25:scenecut=0"})
    sink.open(read.info)
    for item in read:
        sink.write(item)
    sink.finish()
    sink.close()
    read.close()
    unit.unlink()


class CameraServer:
    """A camera that loops a clip for any number of readers."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        assert process.stdout is not None
        self.url = process.stdout.readline().strip()

    def reset(self) -> None:
        """Cut all connections."""
        assert self._process.stdin is not None
        self._process.stdin.write("reset\n")
        self._process.stdin.flush()


@contextmanager
def camera_server(clip: Path) -> Iterator[CameraServer]:
    """Serve a clip in real time until the end of the block."""
    command = [sys.executable, __file__, str(clip)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield CameraServer(process)
        finally:
            process.terminate()


def main() -> None:
    """Serve, and do what standard input says."""
    sys.path[:0] = [str(TESTS), str(TESTS / "live")]
    from camera import Camera  # noqa: PLC0415  # the camera of the tests

    with Camera(sys.argv[1]) as camera:
        print(camera.url(), flush=True)
        for line in sys.stdin:
            if line == "reset\n":
                camera.reset()


if __name__ == "__main__":
    main()
