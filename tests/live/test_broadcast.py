"""One encode for every output of a live feed, over all its sessions."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip
from feeding import TICKS, Clock, boxes, decoded, feed, frames_of, live_info, wait_until
from hypothesis import given
from hypothesis import strategies as st
from sinks_feed import TAG, drawn, opened

from streamcolor.errors import SinkError
from streamcolor.frames import Passthrough
from streamcolor.live import LiveSettings, live_feed
from streamcolor.sinks.broadcast import CARD_EVERY, SILENCE, Broadcast, _Axis
from streamcolor.sinks.card import card
from streamcolor.sinks.destinations import destination
from streamcolor.sinks.encoders import encoder_options, find_encoder, known_encoders
from streamcolor.sinks.live_encoder import LiveEncoder, nal_units


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(clock):
    """Broadcasts that are closed when the test is over."""
    made = []

    def make(*outputs, segment=None, **options):
        destinations = [destination(str(each), codec="libx264", segment=segment) for each in outputs]
        made.append(Broadcast("gate", destinations, **{"clock": clock, "tag": TAG, **options}))
        return made[-1]

    yield make
    for broadcast in made:
        broadcast.close()


CARDS = """
import threading
from pathlib import Path
from sinks_feed import info_of
from streamcolor.sinks.card import card

def memory():
    return 4096 * int(Path("/proc/self/statm").read_text().split()[1])

def show():
    card(info_of((320, 180)), ["GATE", "NO SIGNAL"])
    shown.wait()

shown = threading.Barrier(10)
first = threading.Thread(target=show)
first.start()
card(info_of((320, 180)), ["GATE", "NO SIGNAL"])
print(memory())
others = [threading.Thread(target=show) for _ in range(8)]
for thread in others:
    thread.start()
shown.wait()
print(memory())
"""


class TestSubscription:
    def test_what_a_viewer_gets_decodes_to_the_frames_that_were_sent(self, make, clock):
        broadcast = make(crf=10)
        viewer = broadcast.subscribe()
        frames = feed(broadcast, clock, 30)
        broadcast.close()
        back = decoded(b"".join(viewer))
        assert [round(seconds, 3) for seconds, _ in back] == [round(index / 25, 3) for index in range(30)]
        for frame, (_, planes) in zip(frames, back, strict=True):
            assert np.abs(planes[0].astype(int) - frame.luma).mean() < 2  # of 255: the encoder's loss

    def test_first_comes_the_init_segment_then_one_fragment_a_frame(self, make, clock):
        broadcast = make()
        viewer = broadcast.subscribe()
        feed(broadcast, clock, 5)
        broadcast.close()
        init, *fragments = viewer
        assert boxes(init) == ["ftyp", "moov"]
        assert [boxes(fragment) for fragment in fragments] == [["moof", "mdat"]] * 5
        assert viewer.dropped == 0

    def test_the_fragment_of_a_frame_is_there_before_the_next_frame(self, make, clock):
        broadcast = make()
        viewer = iter(broadcast.subscribe())
        info = live_info()
        sink = broadcast.make_sink()
        sink.open(info)
        sink.write(drawn(info, 0, pts=round(clock.now * TICKS)))
        assert [boxes(data) for data in islice(viewer, 2)] == [["ftyp", "moov"], ["moof", "mdat"]]

    def test_the_mime_type_names_the_codec_as_browsers_want(self, make, clock):
        broadcast = make()
        viewer = broadcast.subscribe()
        assert viewer.mime == ""
        feed(broadcast, clock, 1)
        init = next(iter(viewer))
        sps = init[init.index(b"avcC") + 5 :][:3].hex().upper()
        assert viewer.mime == broadcast.snapshot().mime == f'video/mp4; codecs="avc1.{sps}"'

    @pytest.mark.parametrize(("codec", "name"), [("libx264", "h264"), ("libx265", "hevc")])
    def test_both_codecs_can_be_watched(self, make, clock, codec, name):
        broadcast = make(codec=codec, preset="ultrafast")
        viewer = broadcast.subscribe()
        feed(broadcast, clock, 5)
        broadcast.close()
        data = b"".join(viewer)
        assert len(decoded(data)) == 5
        assert viewer.mime.startswith(
            {"h264": 'video/mp4; codecs="avc1.', "hevc": 'video/mp4; codecs="hev1.1.6.L'}[name]
        )

    def test_a_viewer_who_comes_later_gets_a_key_frame_at_once(self, make, clock):
        broadcast = make()
        first = broadcast.subscribe()
        feed(broadcast, clock, 10)
        second = broadcast.subscribe()
        feed(broadcast, clock, 3, first=10)
        broadcast.close()
        assert len(decoded(b"".join(first))) == 13
        back = decoded(b"".join(second))
        assert [round(seconds, 2) for seconds, _ in back] == [0.40, 0.44, 0.48]

    def test_a_new_size_ends_it_and_a_new_one_has_the_new_size(self, make, clock):
        broadcast = make()
        old = broadcast.subscribe()
        feed(broadcast, clock, 3)
        feed(broadcast, clock, 3, info=live_info((96, 64)))
        assert len(decoded(b"".join(old))) == 3
        new = broadcast.subscribe()
        feed(broadcast, clock, 10, info=live_info((96, 64)))
        broadcast.close()
        assert {planes[0].shape for _, planes in decoded(b"".join(new))} == {(64, 96)}

    def test_sessions_follow_one_another_in_one_stream(self, make, clock):
        broadcast = make()
        viewer = broadcast.subscribe()
        for first in (0, 5, 10):
            feed(broadcast, clock, 5, first=first)
            clock.now += 0.3
        broadcast.close()
        times = [seconds for seconds, _ in decoded(b"".join(viewer))]
        assert len(times) == 15
        assert all(earlier < later for earlier, later in pairwise(times))
        assert times[5] - times[4] == pytest.approx(0.34, abs=0.001)

    def test_a_viewer_who_never_reads_loses_all_but_the_last_and_delays_nobody(self, make, clock):
        broadcast = make()
        dead, alive = broadcast.subscribe(), broadcast.subscribe()
        got = []
        reader = threading.Thread(target=lambda: got.extend(alive))
        reader.start()
        for first in range(0, 200, 20):
            feed(broadcast, clock, 20, first=first)
            wait_until(lambda due=first + 21: len(got) == due)
        broadcast.close()
        reader.join(10)
        assert alive.dropped == 0
        assert dead.dropped > 100
        rest = list(dead)
        assert len(rest) <= 51
        assert decoded(b"".join(rest)), "what is left begins with a key frame"

    def test_who_leaves_is_forgotten(self, make, clock):
        broadcast = make()
        viewer = broadcast.subscribe()
        assert broadcast.snapshot().viewers == 1
        viewer.close()
        feed(broadcast, clock, 2)
        assert list(viewer) == []
        assert broadcast.snapshot().viewers == 0

    def test_nobody_waits_for_a_broadcast_that_is_closed(self, make):
        broadcast = make()
        waiting = broadcast.subscribe()
        broadcast.close()
        assert list(waiting) == []
        assert list(broadcast.subscribe()) == []


class TestCard:
    def test_it_comes_within_a_second_of_the_last_frame_and_keeps_coming(self, make):
        broadcast = make(clock=time.monotonic)
        viewer = iter(broadcast.subscribe())
        info = live_info()
        sink = broadcast.make_sink()
        sink.open(info)
        for index in range(3):
            sink.write(drawn(info, index, pts=round(time.monotonic() * TICKS)))
        last = time.monotonic()
        data = b"".join(islice(viewer, 4))
        assert broadcast.snapshot().showing == "camera"
        data += next(viewer)
        assert time.monotonic() - last < 1.0
        data += b"".join(islice(viewer, 2))
        assert broadcast.snapshot().showing == "card"
        back = decoded(data)
        lumas = [planes[0].mean() for _, planes in back]
        assert min(lumas[:3]) > 60
        assert max(lumas[3:]) < 60, "dark"
        assert SILENCE < back[3][0] - back[2][0] < 1.0
        assert CARD_EVERY <= back[4][0] - back[3][0] < 2 * CARD_EVERY + 0.2

    def test_it_comes_although_the_sound_goes_on(self, make, tmp_path, clock):
        broadcast = make()
        clip = make_clip(tmp_path / "clip.ts", frames=5, codec="libx264", audio=1)
        with opened(clip) as (info, items):
            sink = broadcast.make_sink()
            sink.open(info)
            sounds = []
            for item in items:
                if isinstance(item, Passthrough):
                    sounds.append(item)
                else:
                    sink.write(item)
            clock.now += 2
            sink.write(sounds[0])
            sink.write(sounds[0])  # the encoder looked at the clock in between
        assert broadcast.snapshot().cards == 1

    def test_there_is_none_before_the_first_frame(self, make, clock):
        broadcast = make()
        sink = broadcast.make_sink()
        sink.open(live_info())
        clock.now += 60
        broadcast.open(live_info())
        broadcast.open(live_info())
        assert (broadcast.snapshot().cards, broadcast.snapshot().showing) == (0, "nothing")

    def test_a_slow_camera_is_not_taken_for_a_lost_one(self, make, clock):
        broadcast = make()
        info = live_info(rate=1)
        feed(broadcast, clock, 3, info=info)
        clock.now += 0.5
        broadcast.open(info)
        broadcast.open(info)  # the encoder looked at the clock in between
        assert broadcast.snapshot().cards == 0
        clock.now += 2
        wait_until(lambda: broadcast.snapshot().cards == 1)

    def test_nor_one_that_is_slower_than_it_says(self, make, clock):
        broadcast = make()
        info = live_info()  # "25 a second"
        sink = broadcast.make_sink()
        sink.open(info)
        at_first = None
        for index in range(6):
            sink.write(drawn(info, index, pts=round(clock.now * TICKS)))
            if index == 1:
                at_first = broadcast.snapshot().cards
            clock.now += 1
            for _ in range(2):  # the encoder looks at the clock in between
                broadcast.subscribe().close()
        assert broadcast.snapshot().cards == at_first <= 1
        clock.now += 5
        wait_until(lambda: broadcast.snapshot().cards > at_first)

    def test_the_camera_comes_back_without_a_new_stream(self, make, clock):
        broadcast = make()
        viewer = broadcast.subscribe()
        feed(broadcast, clock, 3)
        clock.now += 5
        wait_until(lambda: broadcast.snapshot().showing == "card")
        feed(broadcast, clock, 3, first=3)
        assert broadcast.snapshot().showing == "camera"
        broadcast.close()
        times = [seconds for seconds, _ in decoded(b"".join(viewer))]
        assert times[-1] == pytest.approx(5.2, abs=0.01)

    def test_cards_of_many_cameras_take_no_more_memory_than_that_of_one(self):
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
        command = [sys.executable, "-c", CARDS]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        one, nine = map(int, done.stdout.split())
        assert nine - one < 4_000_000

    @pytest.mark.parametrize("size", [(16, 16), (64, 48), (641, 361), (1920, 1080)])
    def test_it_is_dark_with_bright_letters_at_any_size(self, size):
        picture = card(live_info(size), ["NO SIGNAL", "gate", "2026-11-23 21:45:07"])
        assert picture.luma.shape == size[::-1]
        assert picture.luma.mean() < 60
        assert picture.luma.max() > (60 if size == (16, 16) else 150)
        assert {int(plane.min()) for plane in picture.chroma} == {128}


class TestEncoding:
    def test_there_is_one_encode_however_many_outputs_there_are(self, make, clock, tmp_path, monkeypatch):
        encoded = []
        whole = LiveEncoder.encode
        monkeypatch.setattr(LiveEncoder, "encode", lambda *given: encoded.append(1) or whole(*given))
        broadcast = make(tmp_path / "a.mp4", tmp_path / "b.mkv", tmp_path / "c.ts", f"hls:{tmp_path / 'hls'}")
        viewers = [broadcast.subscribe() for _ in range(3)]
        feed(broadcast, clock, 30)
        broadcast.close()
        assert len(encoded) == broadcast.snapshot().frames == 30
        assert {len(decoded(b"".join(viewer))) for viewer in viewers} == {30}
        for name in ("a.mp4", "b.mkv", "c.ts", "hls/stream0.ts"):
            assert len(decoded(tmp_path / name)) == (25 if "hls" in name else 30), name

    def test_a_key_frame_comes_every_second_and_nothing_is_reordered(self, make, clock, tmp_path):
        broadcast = make(tmp_path / "a.mkv")
        feed(broadcast, clock, 80)
        broadcast.close()
        with av.open(str(tmp_path / "a.mkv")) as source:
            packets = [packet for packet in source.demux(video=0) if packet.size]
        assert [index for index, packet in enumerate(packets) if packet.is_keyframe] == [0, 25, 50, 75]
        assert all(packet.pts == packet.dts for packet in packets)

    def test_the_tag_is_in_every_key_frame_before_the_picture(self, make, clock, tmp_path):
        broadcast = make(tmp_path / "a.ts")
        feed(broadcast, clock, 30)
        broadcast.close()
        with av.open(str(tmp_path / "a.ts")) as source:
            keys = [bytes(packet) for packet in source.demux(video=0) if packet.is_keyframe]
        assert len(keys) == 2
        for key in keys:
            kinds = [unit[0] & 31 for unit in nal_units(key)]
            assert kinds.index(7) < kinds.index(8) < kinds.index(6) < kinds.index(5)
            assert TAG.encode() in key

    def test_bits_and_chroma_that_browsers_do_not_know_become_8_bit_420(self, make, clock):
        info = live_info()
        deep = live_info()
        broadcast = make(crf=10)
        viewer = broadcast.subscribe()
        sink = broadcast.make_sink()
        deep = replace(info, space=replace(info.space, depth=10), chroma_shift=(1, 0))
        sink.open(deep)
        for frame in frames_of(deep, clock, 3):
            sink.write(frame)
        broadcast.close()
        (_, (luma, cb, _)), *_ = decoded(b"".join(viewer))
        assert (luma.dtype, luma.shape, cb.shape) == (np.uint8, (48, 64), (24, 32))

    @pytest.mark.parametrize(("codec", "word"), [("libx264", "crf"), ("libx265", "crf"), ("h264_nvenc", "cq")])
    def test_quality_reaches_every_encoder_by_its_own_word(self, codec, word):
        if codec not in known_encoders():
            pytest.skip(f"this FFmpeg has no {codec}")
        options = encoder_options(find_encoder(codec), crf=23, preset="veryfast", options={})
        assert options[word] == "23"

    def test_a_codec_that_cannot_be_live_is_refused_at_once(self):
        with pytest.raises(SinkError, match="ffv1 is no encoder for live streams: choose libx264"):
            Broadcast("gate", codec="ffv1")

    def test_what_the_encoder_refuses_is_told_to_the_session_and_the_next_one_works(self, make, clock):
        broadcast = make()
        with pytest.raises(SinkError, match="libx264 cannot be opened for 30000x30000"):
            broadcast.open(live_info((30000, 30000)))
        feed(broadcast, clock, 2)
        assert broadcast.snapshot().frames == 2

    def test_after_the_end_a_session_is_told(self, make):
        broadcast = make()
        broadcast.open(live_info())
        broadcast.close()
        with pytest.raises(SinkError, match="gate: the broadcast is closed"):
            broadcast.write(drawn(live_info(), 0))


class TestAxis:
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["frame", "card", "session"]),
                st.floats(0, 3),  # seconds that pass
                st.floats(-20, 20),  # how far the time stamps are off
            ),
            min_size=1,
        )
    )
    def test_times_always_rise_and_stay_with_the_clock(self, steps):
        axis, now, began, last = _Axis(), 500.0, None, -1
        for kind, passed, off in steps:
            now += passed
            if kind == "session" or began is None:
                axis.begin_session()
            if kind == "frame" or began is None:
                pts = axis.place(now + off, now)
                began = now if began is None else began
            else:
                pts = axis.at(now)
            assert pts > last
            assert abs(pts / TICKS - (now - began)) <= 10.1 + len(steps) / 1000
            last = pts

    def test_a_source_that_counts_from_zero_is_moved_to_the_clock(self):
        axis = _Axis()
        assert [axis.place(index / 25, 700 + index / 25) for index in range(3)] == [0, 3600, 7200]
        axis.begin_session()
        assert axis.place(0.0, 710.0) == 10 * TICKS


class TestFailures:
    @pytest.fixture
    def dying(self, monkeypatch):
        """Encoders of which the first fails from the third picture on, as one does on a GPU that was reset."""
        made, encode = [], LiveEncoder.encode

        def fails(self, *picture):
            if self not in made:
                made.append(self)
                self.count = 0
            self.count += 1
            if self is made[0] and self.count > 3:
                raise SinkError("the device is gone")
            return encode(self, *picture)

        monkeypatch.setattr(LiveEncoder, "encode", fails)
        return made

    def test_an_encoder_that_has_failed_is_not_given_to_the_next_session(self, make, clock, dying):
        broadcast = make()
        viewer = broadcast.subscribe()
        with pytest.raises(SinkError, match="the device is gone"):
            feed(broadcast, clock, 5)
        assert len(b"".join(viewer)) > 0, "who watched has what there was, and begins anew"
        feed(broadcast, clock, 5)
        assert len(dying) == 2
        assert broadcast.snapshot().frames > 5

    def test_one_that_fails_at_the_card_does_not_end_the_broadcast(self, make, clock, dying):
        broadcast = make()
        feed(broadcast, clock, 3)
        clock.now += 5
        wait_until(lambda: dying[0].count > 3)
        feed(broadcast, clock, 5)
        assert len(dying) == 2

    def test_a_session_that_was_silent_meanwhile_is_told_and_the_next_one_works(self, make, clock, dying):
        broadcast, info = make(), live_info()
        sink = broadcast.make_sink()
        sink.open(info)
        for frame in frames_of(info, clock, 3):
            sink.write(frame)
        clock.now += 5
        wait_until(lambda: dying[0].count > 3)  # the card's picture, at which it fails
        with pytest.raises(SinkError, match="gate: the encoder has failed"):
            sink.write(drawn(info, 3, pts=round(clock.now * TICKS)))
        sink.close()
        feed(broadcast, clock, 5)
        assert len(dying) == 2

    def test_viewers_of_a_camera_that_never_came_are_forgotten_when_they_leave(self, make):
        broadcast = make()
        for _ in range(50):
            broadcast.subscribe().close()
        assert len(broadcast._viewers) == 1

    @pytest.mark.parametrize("preset", ["veryfsat", "-1x"])
    def test_a_preset_that_is_none_is_told_before_anything_starts(self, preset):
        with pytest.raises(SinkError, match=f"libx264 does not work with the preset {preset}"):
            live_feed(LiveSettings("gate", "rtsp://camera/gate", preset=preset))
