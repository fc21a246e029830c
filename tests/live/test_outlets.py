"""Files, folders, pipes and servers that a live stream goes to."""

import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import av
import pytest
from clips import make_clip, read_packets
from fakes import in_thread
from feeding import Clock, decoded, feed, live_info, wait_until
from sinks_feed import TAG, opened

from streamcolor.errors import SinkError
from streamcolor.sinks.broadcast import Broadcast
from streamcolor.sinks.destinations import Destination, destination

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(clock):
    """Broadcasts to outputs (or ready destinations), closed when the test is over."""
    made = []

    def make(*outputs, segment=None, overwrite=False):
        given = [
            each
            if isinstance(each, Destination)
            else destination(str(each), codec="libx264", segment=segment, overwrite=overwrite)
            for each in outputs
        ]
        made.append(Broadcast("gate", given, clock=clock, tag=TAG, preset="ultrafast"))
        return made[-1]

    yield make
    for broadcast in made:
        with suppress(ZeroDivisionError):
            broadcast.close()


def state(broadcast, index=0):
    return broadcast.snapshot().outlets[index]


def written(broadcast, count, index=0):
    wait_until(lambda: state(broadcast, index).packets == count)


class TestFiles:
    @pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts"])
    def test_a_file_is_whole_after_closing(self, make, clock, tmp_path, suffix):
        path = tmp_path / f"gate{suffix}"
        broadcast = make(path)
        feed(broadcast, clock, 60)
        broadcast.close()
        back = decoded(path)
        assert len(back) == 60
        assert back[-1][0] - back[0][0] == pytest.approx(59 / 25, abs=0.002)
        assert state(broadcast).state == "over"

    @pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts"])
    def test_a_kill_leaves_a_playable_file(self, make, clock, tmp_path, suffix):
        path = tmp_path / f"gate{suffix}"
        broadcast = make(path)
        feed(broadcast, clock, 76)
        written(broadcast, 76)
        left = shutil.copy(path, tmp_path / f"left{suffix}")  # what a kill at this moment leaves on the disk
        assert len(decoded(left)) >= 50, "all but the last second or so"

    def test_a_finished_segment_is_an_ordinary_mp4(self, make, clock, tmp_path):
        broadcast = make(tmp_path / "gate.mp4", segment=60)
        feed(broadcast, clock, 60)
        broadcast.close()
        with av.open(str(tmp_path / "gate-0001.mp4")) as source:
            assert source.streams.video[0].frames == 60
            assert source.duration / 1e6 == pytest.approx(60 / 25, abs=0.01)
            assert TAG in source.metadata["comment"]

    def test_a_taken_name_gets_a_number_and_nothing_is_overwritten(self, make, clock, tmp_path):
        (tmp_path / "gate.mp4").write_bytes(b"last week")
        broadcast = make(tmp_path / "gate.mp4")
        feed(broadcast, clock, 3)
        broadcast.close()
        assert (tmp_path / "gate.mp4").read_bytes() == b"last week"
        assert len(decoded(tmp_path / "gate-0001.mp4")) == 3

    def test_unless_that_is_wanted(self, make, clock, tmp_path):
        (tmp_path / "gate.mp4").write_bytes(b"last week")
        broadcast = make(tmp_path / "gate.mp4", overwrite=True)
        feed(broadcast, clock, 3)
        feed(broadcast, clock, 4, info=live_info((96, 64)))
        broadcast.close()
        assert len(decoded(tmp_path / "gate.mp4")) == 3
        assert len(decoded(tmp_path / "gate-0001.mp4")) == 4, "only the first: what came then is of this run"

    def test_a_new_size_begins_a_new_file_at_time_0(self, make, clock, tmp_path):
        broadcast = make(tmp_path / "gate.mp4")
        feed(broadcast, clock, 5)
        feed(broadcast, clock, 7, info=live_info((96, 64)))
        broadcast.close()
        first, second = decoded(tmp_path / "gate.mp4"), decoded(tmp_path / "gate-0001.mp4")
        assert (len(first), len(second)) == (5, 7)
        assert second[0][0] == 0
        assert second[0][1][0].shape == (64, 96)

    @pytest.mark.parametrize(
        ("output", "message"),
        [
            ("none/gate.mp4", "is not a folder; create it first"),
            ("gate.avi", "unknown suffix .avi"),
            ("gate.webm", r"\.webm cannot hold libx264; choose \.mp4"),
            ("folder.mp4", "it is a folder"),
            ("http://user:secret@host/x", r"cannot write http://\*\*\*@host/x: choose rtsp://"),
        ],
    )
    def test_what_cannot_be_written_is_refused_at_once(self, tmp_path, monkeypatch, output, message):
        monkeypatch.chdir(tmp_path)
        Path("folder.mp4").mkdir()
        with pytest.raises(SinkError, match=message):
            destination(output, codec="libx264")


class TestSegments:
    def test_each_is_whole_begins_at_0_and_together_they_miss_nothing(self, make, clock, tmp_path):
        broadcast = make(tmp_path / "gate.mp4", segment=2)
        feed(broadcast, clock, 130)
        written(broadcast, 130)
        finished = [decoded(tmp_path / f"gate-000{number}.mp4") for number in (1, 2)]
        assert [len(frames) for frames in finished] == [50, 50], "whole while the next is being written"
        broadcast.close()
        assert len(decoded(tmp_path / "gate-0003.mp4")) == 30
        assert [frames[0][0] for frames in finished] == [0, 0]
        assert sorted(path.name for path in tmp_path.iterdir()) == [f"gate-000{number}.mp4" for number in (1, 2, 3)]

    def test_numbers_rise_also_when_old_files_are_deleted_and_over_restarts(self, make, clock, tmp_path):
        broadcast = make(tmp_path / "gate.ts", segment=1)
        feed(broadcast, clock, 60)
        written(broadcast, 60)
        for number in (1, 2):
            (tmp_path / f"gate-000{number}.ts").unlink()
        feed(broadcast, clock, 20, first=60)
        broadcast.close()
        broadcast = make(tmp_path / "gate.ts", segment=1)
        feed(broadcast, clock, 10)
        broadcast.close()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["gate-0003.ts", "gate-0004.ts", "gate-0005.ts"]

    def test_names_may_hold_the_time(self, make, clock, tmp_path):
        broadcast = make(tmp_path / "gate-%Y.ts", segment=1)
        feed(broadcast, clock, 50)
        broadcast.close()
        names = sorted(path.name for path in tmp_path.iterdir())
        assert len(names) == 2
        assert names[0].startswith("gate-20")
        assert names[0][5:9].isdecimal()
        assert names[0].endswith("-0001.ts"), "two of one year"


class TestHls:
    def test_it_plays_while_it_runs_and_old_segments_go(self, make, clock, tmp_path):
        folder = tmp_path / "new" / "hls"
        broadcast = make(f"hls:{folder}")
        for first in range(0, 500, 25):
            feed(broadcast, clock, 25, first=first)
            written(broadcast, first + 25)
        with av.open(str(folder / "stream.m3u8"), options={"live_start_index": "0"}) as source:
            frames = [frame for _, frame in zip(range(75), source.decode(video=0), strict=False)]
        assert len(frames) == 75
        assert len(list(folder.glob("*.ts"))) <= 13
        text = (folder / "stream.m3u8").read_text()
        assert text.count("#EXTINF:1.0") == 10
        assert "ENDLIST" not in text
        assert not list(folder.glob("*.m3u8.tmp"))

    def test_a_restart_goes_on_with_the_list(self, make, clock, tmp_path):
        for _ in range(2):
            broadcast = make(f"hls:{tmp_path}")
            feed(broadcast, clock, 75)
            broadcast.close()
        text = (tmp_path / "stream.m3u8").read_text()
        assert text.count("#EXTINF") == 6
        assert "#EXT-X-DISCONTINUITY" in text


class Gate:
    """A file object that lets a test stop or break what an outlet writes."""

    def __init__(self):
        self.opens = 0
        self.open_error = None
        self.error = None
        self.free = threading.Event()
        self.free.set()
        self.data = BytesIO()

    def target(self):
        self.opens += 1
        if self.open_error:
            raise self.open_error
        return self

    def write(self, data):
        self.free.wait(20)
        if self.error:
            return -self.error
        return self.data.write(data)

    def destination(self, name="gate", **more):
        return Destination(name, "mpegts", self.target, {"flush_packets": "1"}, **more)


class TestFaults:
    def test_a_slow_output_delays_no_other_and_goes_on_at_a_key_frame(self, make, clock, tmp_path):
        slow = Gate()
        broadcast = make(slow.destination(), tmp_path / "fast.mkv")
        viewer = broadcast.subscribe()
        feed(broadcast, clock, 25)
        written(broadcast, 25)
        slow.free.clear()
        for first in range(25, 500, 25):
            feed(broadcast, clock, 25, first=first)
            written(broadcast, first + 25, index=1)
        assert state(broadcast, 0).drops > 200
        assert state(broadcast, 1).drops == 0
        slow.free.set()
        feed(broadcast, clock, 50, first=500)
        broadcast.close()
        assert len(decoded(tmp_path / "fast.mkv")) == 550
        assert viewer.dropped == pytest.approx(500, abs=51)
        times = [seconds for seconds, _ in decoded(slow.data.getvalue())]
        assert len(times) == state(broadcast, 0).packets
        assert times[-1] - times[0] == pytest.approx(549 / 25, abs=0.01)

    def test_an_output_that_fails_is_opened_again_after_a_while(self, make, clock, caplog):
        gate = Gate()
        broadcast = make(gate.destination())
        feed(broadcast, clock, 25)
        written(broadcast, 25)
        gate.error = 32  # EPIPE
        feed(broadcast, clock, 10, first=25)
        wait_until(lambda: state(broadcast).state == "failed")
        assert state(broadcast).error == "cannot write gate: Broken pipe"
        gate.error = None
        caplog.set_level(logging.INFO)
        clock.now += 1
        feed(broadcast, clock, 50, first=35)
        wait_until(lambda: state(broadcast).state == "open")
        assert (state(broadcast).reconnects, gate.opens) == (1, 2)
        assert "gate: open again" in caplog.text

    def test_while_it_is_away_it_is_tried_now_and_then_and_told_once(self, make, clock, caplog):
        gate = Gate()
        gate.open_error = OSError(111, "Connection refused")
        broadcast = make(gate.destination())
        for first in range(0, 500, 25):
            feed(broadcast, clock, 25, first=first)
            wait_until(lambda due=first + 25: state(broadcast).drops == due)
        assert 8 <= gate.opens <= 12, "every two seconds, and more often at first"
        assert caplog.text.count("Connection refused") == 1

    def test_one_that_opens_and_fails_again_and_again_is_told_once_and_given_time(self, make, clock, caplog):
        caplog.set_level(logging.INFO)
        gate = Gate()
        broadcast = make(gate.destination())
        feed(broadcast, clock, 1)
        written(broadcast, 1)
        gate.error = 32  # EPIPE, also of what has just been opened
        for first in range(1, 500, 25):
            feed(broadcast, clock, 25, first=first)
            wait_until(lambda due=first + 25: state(broadcast).drops + state(broadcast).packets >= due)
        assert state(broadcast).state == "failed"
        assert 6 <= gate.opens <= 13
        assert caplog.text.count("Broken pipe") == 1
        assert caplog.text.count("open again") <= 1

    def test_an_output_that_hangs_does_not_hold_up_the_end(self, make, clock, tmp_path):
        hanging = Gate()
        broadcast = make(hanging.destination(), tmp_path / "whole.mp4")
        hanging.free.clear()
        feed(broadcast, clock, 30)
        done = threading.Event()
        closing = threading.Thread(target=lambda: broadcast.close() or done.set())
        closing.start()
        assert done.wait(3.0)
        assert len(decoded(tmp_path / "whole.mp4")) == 30
        hanging.free.set()
        closing.join()

    def test_a_server_that_is_not_there_is_told_without_its_password(self, make, clock, caplog):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        broadcast = make(f"rtsp://user:s3cr%65t@127.0.0.1:{port}/gate?token=s3cret")
        feed(broadcast, clock, 5)
        wait_until(lambda: state(broadcast).state == "failed")
        found = state(broadcast)
        assert found.error == f"cannot write rtsp://***@127.0.0.1:{port}/gate?token=***: Connection refused"
        assert "s3cr" not in caplog.text + found.name + found.error

    @pytest.mark.parametrize("answers", [b"", b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"])
    def test_a_server_that_falls_silent_holds_up_nobody_for_long(self, make, clock, answers):
        with socket.create_server(("127.0.0.1", 0)) as server:
            in_thread(answer_once, server, answers)
            broadcast = make(f"rtsp://127.0.0.1:{server.getsockname()[1]}/gate")
            feed(broadcast, clock, 1)
            longest, looked = 0.0, time.monotonic()
            while state(broadcast).state != "failed":
                feed(broadcast, clock, 1, first=1)
                now = time.monotonic()
                longest, looked = max(longest, now - looked), now
        assert "timed out" in state(broadcast).error or "Invalid data" in state(broadcast).error
        assert longest < (1.6 if answers else 0.8)

    def test_a_port_that_is_none_is_not_quoted(self):
        with pytest.raises(SinkError, match=r"cannot write rtsp://\*\*\*@host/x: its host or port is none") as raised:
            destination("rtsp://user:s3/cret@host/x", codec="libx264")
        assert "s3" not in str(raised.value)

    @pytest.mark.parametrize("password", ["s3[cret", "s3]cret", "s3\N{ACCOUNT OF}cret"])
    def test_a_password_that_looks_like_an_address_is_told_and_not_quoted(self, password):
        with pytest.raises(SinkError, match=r"cannot write rtsp://\*\*\*@host/x: its host or port is none") as raised:
            destination(f"rtsp://user:{password}@host/x", codec="libx264")
        assert "s3" not in str(raised.value)
        assert raised.value.__cause__ is None

    def test_a_disk_that_stays_full_gets_one_empty_file_not_many(self, tmp_path):
        target = destination(str(tmp_path / "gate.mp4"), codec="libx264").target
        first = target()
        Path(first.removeprefix("file:")).touch()  # opened, and not a byte fits
        assert [target() for _ in range(3)] == [first] * 3
        Path(first.removeprefix("file:")).write_bytes(b"video")
        assert target() != first

    def test_a_full_disk_does_not_end_the_recording_for_good(self, make, clock):
        if not Path("/dev/full").exists():
            pytest.skip("no /dev/full")
        names = iter(["/dev/full", "/dev/null", "/dev/null"])
        broadcast = make(Destination("disk", "mpegts", lambda: f"file:{next(names)}", {"flush_packets": "1"}))
        feed(broadcast, clock, 5)
        wait_until(lambda: state(broadcast).state == "failed")
        assert state(broadcast).error == "cannot write disk: No space left on device"
        clock.now += 1
        feed(broadcast, clock, 50, first=5)
        wait_until(lambda: state(broadcast).state == "open")

    def test_a_bug_in_an_outlet_is_raised_where_it_is_seen(self, make, clock):
        def fail():
            raise ZeroDivisionError

        broadcast = make(Destination("gate", "mpegts", fail))
        feed(broadcast, clock, 1)
        with pytest.raises(ZeroDivisionError):
            feed(broadcast, clock, 1000)
        with pytest.raises(ZeroDivisionError):
            broadcast.close()


def answer_once(server, answers):
    """Answer the first who asks, and nobody from then on."""
    connections = []
    while True:
        try:
            connections.append(server.accept()[0])
        except OSError:
            return
        if len(connections) == 1:
            connections[0].sendall(answers)


class TestSound:
    def live(self, broadcast, clock, clip):
        """Play a clip into a broadcast as a session."""
        with opened(clip) as (info, items):
            sink = broadcast.make_sink()
            sink.open(info)
            for item in items:
                sink.write(item)
                clock.now += 0.01

    def test_it_passes_through_untouched(self, make, clock, tmp_path):
        clip = make_clip(tmp_path / "clip.ts", frames=50, codec="libx264", audio=1)
        broadcast = make(tmp_path / "out.mkv", tmp_path / "out.ts")
        self.live(broadcast, clock, clip)
        broadcast.close()
        before = [data for _, data in read_packets(clip, "audio")[0]]
        for name in ("out.mkv", "out.ts"):
            after = [data for _, data in read_packets(tmp_path / name, "audio")[0]]
            assert len(after) >= len(before) - 8, "but for what came before the first picture"
            assert b"".join(before).endswith(b"".join(after))

    def test_it_stays_with_the_picture(self, make, clock, tmp_path):
        clip = make_clip(tmp_path / "clip.ts", frames=50, codec="libx264", audio=1, audio_start=0.5)
        broadcast = make(tmp_path / "out.ts")
        self.live(broadcast, clock, clip)
        broadcast.close()
        starts = []
        for path in (clip, tmp_path / "out.ts"):
            sound, picture = read_packets(path, "audio")[0], read_packets(path, "video")[0]
            starts.append(float(sound[-1][0] - picture[-1][0]))
        assert starts[0] == pytest.approx(starts[1], abs=0.001)

    def test_what_a_container_cannot_hold_is_left_out_with_one_warning(self, make, clock, tmp_path, caplog):
        clip = make_clip(tmp_path / "clip.mkv", frames=30, codec="libx264", audio=1)  # PCM
        broadcast = make(tmp_path / "out.ts", tmp_path / "out.mkv", segment=1)
        self.live(broadcast, clock, clip)
        broadcast.close()
        with av.open(str(tmp_path / "out-0001.ts")) as source:
            assert not source.streams.audio
        assert read_packets(tmp_path / "out-0001.mkv", "audio")[0]
        assert caplog.text.count("pcm_s16le sound is left out") == 1

    def test_an_output_is_opened_again_after_the_source_is_gone(self, make, clock, tmp_path):
        clip = make_clip(tmp_path / "clip.ts", frames=30, codec="libx264", audio=1)
        broadcast = make(tmp_path / "out.ts", segment=1)
        self.live(broadcast, clock, clip)
        clock.now += 3
        wait_until(lambda: broadcast.snapshot().cards > 0)
        broadcast.close()
        with av.open(str(tmp_path / "out-0003.ts")) as source:
            assert (len(source.streams.video), len(source.streams.audio)) == (1, 1)


PIPE = """
import sys
sys.path[:0] = [{tests!r}, {live!r}]
from feeding import Clock, feed
from streamcolor.sinks.broadcast import Broadcast
from streamcolor.sinks.destinations import destination
clock = Clock()
broadcast = Broadcast("gate", [destination("-", codec="libx264")], clock=clock)
for first in range(0, {frames}, 10):
    feed(broadcast, clock, 10, first=first)
    if broadcast.snapshot().is_over:
        break
broadcast.close()
outlet = broadcast.snapshot().outlets[0]
sys.stderr.write(f"{{outlet.state}} {{outlet.error}}")
"""


class TestStandardOutput:
    def start(self, frames):
        code = PIPE.format(tests=str(ROOT / "tests"), live=str(ROOT / "tests" / "live"), frames=frames)
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )

    def test_it_is_mpeg_ts(self):
        with self.start(50) as running:
            out, err = running.communicate()
        assert err == b"over "
        with av.open(BytesIO(out)) as source:
            assert source.format.name == "mpegts"
        assert len(decoded(out)) == 50

    def test_when_its_reader_leaves_it_is_over_and_says_so_once(self):
        with self.start(100_000) as running:
            running.stdout.read(1000)
            running.stdout.close()
            err = running.stderr.read()
        assert err == b"cannot write -: Broken pipe\nover cannot write -: Broken pipe"
        assert running.returncode == 0
