"""What is not our video arrives untouched, in step, or is named in a warning."""

from fractions import Fraction
from itertools import pairwise

import av
import pytest
from clips import make_clip, png_bytes, read_frames, read_packets
from sinks_feed import TAG, convert, drawn, info_of, opened, write_all, write_drawn

from streamcolor.frames import Passthrough
from streamcolor.sinks.mux import MuxSink
from streamcolor.sinks.streams import Waiting
from streamcolor.sinks.synthetic import synthetic_color

PAIRS = [("mp4", "mp4"), ("mkv", "mp4"), ("ts", "mkv"), ("mp4", "mkv"), ("mkv", "ts"), ("mov", "mov"), ("ts", "ts")]


def clip(path, suffix, **more):
    """A short clip with a sound track that its container, and most others, hold."""
    codec = "libx264" if suffix in ("ts", "mov") else "ffv1"
    return make_clip(path / f"source.{suffix}", **{"frames": 30, "codec": codec, "audio": 1} | more)


def lead(path):
    """By how much the first picture is later than the first sound, in seconds."""
    sounds = read_packets(path, "audio")[0]
    return read_frames(path, planes=1)[0][0] - sounds[0][0]


@pytest.mark.parametrize(("first", "second"), PAIRS)
@pytest.mark.parametrize(("start", "audio_start"), [(0, 0), (1, 0), (0, "0.5"), ("0.2", "0.3")])
def test_sound_stays_in_step(tmp_path, first, second, start, audio_start):
    source = clip(tmp_path, first, start=start, audio_start=audio_start)
    output = tmp_path / f"output.{second}"
    if (first, second) == ("mkv", "ts"):
        source = make_clip(source, frames=30, codec="libx264", audio=0)  # PCM does not fit: only the times of pictures
        convert(source, MuxSink(output))
    else:
        convert(source, MuxSink(output))
        assert abs(lead(output) - lead(source)) <= Fraction(1, 1000)
    before = [moment for moment, _ in read_frames(source, planes=1)]
    after = [moment for moment, _ in read_frames(output, planes=1)]
    moves = {abs((new - after[0]) - (old - before[0])) for new, old in zip(after, before, strict=True)}
    assert max(moves) <= Fraction(1, 1000)


@pytest.mark.parametrize(
    ("first", "second"), [("mp4", "mp4"), ("mkv", "mp4"), ("mkv", "mkv"), ("mp4", "mov"), ("mov", "mov")]
)
@pytest.mark.parametrize("start", [0, 1])
def test_every_time_is_absolute(tmp_path, first, second, start):
    """Where no packet comes before zero, nothing is moved at all."""
    source = clip(tmp_path, first, start=start)
    output = tmp_path / f"output.{second}"
    convert(source, MuxSink(output))
    before, after = ([moment for moment, _ in read_frames(path, planes=1)] for path in (source, output))
    assert after == before


@pytest.mark.parametrize(
    ("first", "second"), [("mp4", "mp4"), ("mkv", "mkv"), ("ts", "ts"), ("mov", "mkv"), ("mkv", "mov"), ("ts", "mkv")]
)
def test_sound_is_copied_byte_by_byte(tmp_path, first, second):
    source = clip(tmp_path, first, audio=2)
    output = tmp_path / f"output.{second}"
    sink = MuxSink(output)
    convert(source, sink)
    before, after = read_packets(source, "audio"), read_packets(output, "audio")
    assert [[data for _, data in after[track]] for track in after] == [
        [data for _, data in before[track]] for track in before
    ]
    assert sink.warnings == ()


def test_subtitles_languages_titles_and_dispositions_are_copied(tmp_path):
    source = clip(tmp_path, "mkv", audio=2, subtitles=2)
    output = tmp_path / "output.mkv"
    with opened(source) as (info, items):
        info.copied[0].disposition = av.stream.Disposition.default | av.stream.Disposition.original
        info.copied[3].disposition = av.stream.Disposition.forced
        write_all(MuxSink(output), info, items)
    with av.open(str(output)) as found:
        sounds, texts = found.streams.audio, found.streams.subtitles
        assert [stream.language for stream in (*sounds, *texts)] == ["deu", "eng", "eng", "deu"]
        assert [stream.metadata["title"] for stream in sounds] == ["track 0", "track 1"]
        assert sounds[0].disposition & av.stream.Disposition.original
        assert texts[1].disposition & av.stream.Disposition.forced
    assert read_packets(output, "subtitles") == read_packets(source, "subtitles")


def test_titles_of_tracks_survive_mp4(tmp_path):
    output = tmp_path / "output.mp4"
    convert(clip(tmp_path, "mp4"), MuxSink(output))
    convert(output, MuxSink(tmp_path / "again.mkv"))
    with av.open(str(tmp_path / "again.mkv")) as found:
        assert found.streams.audio[0].metadata["title"] == "track 0"


def test_metadata_of_the_file_and_the_video_are_kept(tmp_path):
    source = clip(tmp_path, "mkv", metadata={"title": "Film", "artist": "A"}, stream_metadata={"title": "the picture"})
    for suffix in ("mkv", "mp4"):
        convert(source, MuxSink(tmp_path / f"output.{suffix}"))
        with av.open(str(tmp_path / f"output.{suffix}")) as found:
            metadata = {key.lower(): text for key, text in found.metadata.items()}
            assert (metadata["title"], metadata["artist"]) == ("Film", "A")
            video = found.streams.video[0].metadata
            assert video.get("title", video.get("name")) == "the picture"


def test_facts_about_the_old_file_are_not_repeated(tmp_path):
    source = clip(tmp_path, "mkv", stream_metadata={"BPS": "1", "_STATISTICS_TAGS": "BPS", "NUMBER_OF_FRAMES-eng": "7"})
    convert(source, MuxSink(tmp_path / "output.mkv"))
    with av.open(str(tmp_path / "output.mkv")) as found:
        assert set(found.streams.video[0].metadata) <= {"DURATION", "ENCODER"}


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov", "webm"])
def test_chapters_are_kept(tmp_path, suffix):
    source = make_clip(tmp_path / "source.mkv", frames=50, chapters=2)
    sink = MuxSink(tmp_path / f"output.{suffix}")
    convert(source, sink)
    with av.open(str(tmp_path / f"output.{suffix}")) as found:
        chapters = [(each["start"] * each["time_base"], each["metadata"]["title"]) for each in found.chapters()]
    assert chapters == [(0, "part 1"), (1, "part 2")]
    assert sink.warnings == ()


def test_the_text_track_of_mp4_chapters_needs_no_warning(tmp_path):
    source = make_clip(tmp_path / "source.mp4", frames=50, codec="libx264", chapters=2)
    sink = MuxSink(tmp_path / "output.mkv")
    convert(source, sink)
    assert sink.warnings == ()


@pytest.mark.parametrize("suffix", ["mov", "mp4", "mkv"])
def test_the_time_code_is_kept(tmp_path, suffix):
    source = clip(tmp_path, "mov", stream_metadata={"timecode": "01:02:03:04"})
    sink = MuxSink(tmp_path / f"output.{suffix}")
    convert(source, sink)
    assert sink.warnings == ()
    with av.open(str(tmp_path / f"output.{suffix}")) as found:
        metadata = {key.lower(): text for key, text in found.streams.video[0].metadata.items()}
        assert metadata["timecode"] == "01:02:03:04"
        assert [stream.type for stream in found.streams] == ["video", "audio"] + ["data"] * (suffix != "mkv")


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov", "ts"])
def test_sound_whose_times_go_back_is_left_out_and_counted(tmp_path, suffix):
    source = clip(tmp_path, "ts")
    sink = MuxSink(tmp_path / f"output.{suffix}")
    with opened(source) as (info, found):
        items = list(found)
        sounds = [item.packet for item in items if isinstance(item, Passthrough)]
        sounds[7].pts = sounds[7].dts = sounds[5].dts
        write_all(sink, info, items)
        whole = [bytes(packet) for packet in sounds[:7] + sounds[8:]]
    assert [data for _, data in read_packets(tmp_path / f"output.{suffix}", "audio")[0]] == whole
    assert sink.warnings == ("1 packets of audio stream 1 left out: damaged, or their times go back",)


def test_sound_whose_content_is_damaged_is_left_out_and_counted(tmp_path):
    """MP4 takes the headers off AAC of MPEG-TS, and cannot where there is none."""
    source = tmp_path / "source.ts"
    convert(make_clip(tmp_path / "source.mp4", codec="libx264", frames=30, audio=1), MuxSink(source))
    sink = MuxSink(tmp_path / "output.mp4")
    with opened(source) as (info, items):
        write_all(sink, info, [without_content(item) if index == 20 else item for index, item in enumerate(items)])
    assert sink.warnings == ("1 packets of audio stream 1 left out: damaged, or their times go back",)
    assert len(read_frames(tmp_path / "output.mp4")) == 30


def without_content(item):
    """The same packet of sound, all zeros."""
    assert item.packet.stream.type == "audio"
    packet = av.Packet(bytes(item.packet.size))
    packet.pts, packet.dts, packet.duration = item.packet.pts, item.packet.dts, item.packet.duration
    packet.time_base, packet.stream = item.packet.time_base, item.packet.stream
    return Passthrough(item.stream, packet)


def test_chapters_that_a_container_cannot_hold_are_said(tmp_path):
    sink = MuxSink(tmp_path / "output.ts")
    convert(make_clip(tmp_path / "source.mkv", frames=5, chapters=1), sink)
    assert sink.warnings == ("chapters left out: .ts cannot hold them; .mkv and .mp4 can",)


def test_attachments_are_kept(tmp_path):
    source = make_clip(tmp_path / "source.mkv", frames=5, attachments=2)
    convert(source, MuxSink(tmp_path / "output.mkv"))
    with av.open(str(tmp_path / "output.mkv")) as found:
        fonts = [stream for stream in found.streams if stream.type == "attachment"]
        assert [(font.name, font.mimetype, font.data) for font in fonts] == [
            (f"font{index}.ttf", "application/x-truetype-font", bytes(range(200))) for index in range(2)
        ]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_cover_picture_is_kept(tmp_path, suffix):
    source = make_clip(tmp_path / "source.mp4", frames=5, codec="libx264", cover=True)
    output, again = tmp_path / f"output.{suffix}", tmp_path / "again.mkv"
    convert(source, MuxSink(output))
    convert(output, MuxSink(again))
    for path in (output, again):
        with av.open(str(path)) as found:
            [cover] = [stream for stream in found.streams.video if stream.disposition & 1024]
            [picture] = [bytes(packet) for packet in found.demux(cover) if packet.size]
            assert picture == png_bytes()


@pytest.mark.parametrize("suffix", ["mov", "ts", "webm"])
def test_a_cover_picture_that_a_container_drops_is_said(tmp_path, suffix):
    source = make_clip(tmp_path / "source.mp4", frames=5, codec="libx264", cover=True)
    sink = MuxSink(tmp_path / f"output.{suffix}")
    convert(source, sink)
    assert sink.warnings == (f"video stream 1 (png) left out: .{suffix} cannot hold it; .mp4 and .mkv can",)


@pytest.mark.parametrize(
    ("suffix", "warnings"),
    [
        ("mp4", {"subtitle stream 2 (subrip, eng) left out: .mp4 cannot hold it; .mkv can"}),
        ("ts", {"audio stream 1 (pcm_s16le, deu) left out: .ts cannot hold it; .mp4 and .mov and .mkv can"}),
        ("webm", {"attachment stream 3 (font0.ttf) left out: .webm cannot hold it; .mkv can"}),
    ],
)
def test_what_a_container_cannot_hold_is_named(tmp_path, suffix, warnings):
    source = clip(tmp_path, "mkv", frames=5, subtitles=1, attachments=1)
    sink = MuxSink(tmp_path / f"output.{suffix}")
    convert(source, sink)
    assert warnings <= set(sink.warnings)
    assert len(sink.warnings) == {"mp4": 2, "ts": 3, "webm": 3}[suffix]
    assert len(read_frames(tmp_path / f"output.{suffix}")) == 5


@pytest.mark.parametrize("suffix", ["mkv", "webm", "mp4", "mov"])
@pytest.mark.parametrize("comment", [None, "from the attic"])
def test_every_output_says_that_its_color_is_synthetic(tmp_path, suffix, comment):
    info = info_of(metadata={} if comment is None else {"comment": comment})
    write_drawn(MuxSink(tmp_path / f"a.{suffix}", tag=synthetic_color(version="1.2", network="tiny")), info, 1)
    with av.open(str(tmp_path / f"a.{suffix}")) as found:
        metadata = {key.lower(): text for key, text in found.metadata.items()}
    statement = "synthetic color: a, b predicted by streamcolor 1.2, network tiny"
    assert metadata["comment"] == ("; ".join(filter(None, (comment, statement))))
    if suffix in ("mkv", "webm"):
        assert metadata["streamcolor"] == statement


def test_mpegts_says_it_in_its_service_table(tmp_path):
    write_drawn(MuxSink(tmp_path / "a.ts", tag=TAG), info_of(metadata={"service_name": "News"}), 1)
    with av.open(str(tmp_path / "a.ts")) as found:
        assert b"synthetic color" in (tmp_path / "a.ts").read_bytes()
        assert len(found.streams) == 1


def test_coloring_twice_says_it_once(tmp_path):
    write_drawn(MuxSink(tmp_path / "a.mkv", tag=TAG), info_of(), 1)
    convert(tmp_path / "a.mkv", MuxSink(tmp_path / "b.mkv", tag=TAG))
    with av.open(str(tmp_path / "b.mkv")) as found:
        metadata = {key.lower(): text for key, text in found.metadata.items()}
        assert metadata["comment"] == TAG


def test_packets_are_written_in_step_although_the_encoder_is_late(tmp_path):
    """Sound arrives long before its picture has left the encoder; the file still alternates."""
    source = make_clip(tmp_path / "source.mkv", frames=60, rate=5, audio=1)  # 12 s: more than FFmpeg's own patience
    output = tmp_path / "output.mkv"
    with opened(source) as (info, items):
        # All sound before the first picture, and an encoder (without B-frames: dts is pts) that looks 8 s ahead.
        order = sorted(items, key=lambda item: not isinstance(item, Passthrough))
        write_all(MuxSink(output, preset="medium", options={"bf": "0"}), info, order)
    with av.open(str(output)) as found:
        order = [(float(packet.pts * packet.time_base), packet.stream.type) for packet in found.demux() if packet.size]
    video = [place for place, (_, kind) in enumerate(order) if kind == "video"]
    ahead = [order[place][0] - order[video[0]][0] for place in range(video[0])]
    assert all(seconds <= 0.5 for seconds in ahead)
    times = [seconds for seconds, _ in order]
    assert max(earlier - later for earlier, later in pairwise(times)) < 0.5


def packet_of(seconds, size=1000):
    packet = av.Packet(bytes(size))
    packet.pts = packet.dts = round(seconds * 1000)
    packet.time_base = Fraction(1, 1000)
    return packet


def test_waiting_packets_leave_when_the_video_has_reached_them():
    waiting = Waiting()
    packets = [packet_of(seconds) for seconds in (0, 1, 2)]
    for packet in packets:
        waiting.add(packet)
    assert list(waiting.until(-1)) == []
    assert list(waiting.until(1)) == packets[:2]
    assert list(waiting.until(float("inf"))) == packets[2:]


def test_waiting_packets_are_bounded():
    waiting = Waiting(most=10_000)
    left = 0
    for index in range(100):
        waiting.add(packet_of(index))
        left += len(list(waiting.until(-1)))
    assert left == 90


def test_sound_that_goes_on_after_the_picture_is_written(tmp_path):
    source = make_clip(tmp_path / "source.mkv", frames=50, audio=1)
    with opened(source) as (info, items):
        some = [item for item in items if isinstance(item, Passthrough) or item.pts == 0]
        write_all(MuxSink(tmp_path / "output.mkv"), info, some)
    assert read_packets(tmp_path / "output.mkv", "audio") == read_packets(source, "audio")


def test_packets_of_streams_that_were_left_out_are_dropped(tmp_path):
    info = info_of()
    source = clip(tmp_path, "mkv", frames=2)
    with opened(source) as (_, items):
        strays = [item for item in items if isinstance(item, Passthrough)]
        write_all(MuxSink(tmp_path / "output.mkv"), info, [*strays, drawn(info, 0)])
    with av.open(str(tmp_path / "output.mkv")) as found:
        assert [stream.type for stream in found.streams] == ["video"]
