"""Every way in which an output can fail ends with one clear line, and with nothing left behind."""

import io
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest
from clips import make_clip, read_frames
from sinks_feed import convert, drawn, info_of, write_drawn

from streamcolor.errors import SinkError
from streamcolor.sinks.containers import default_codec
from streamcolor.sinks.encoders import find_encoder, known_encoders
from streamcolor.sinks.mux import MuxSink

TESTS = Path(__file__).parent


IMPORTS = """
import sys
from sinks_feed import *
from streamcolor.errors import SinkError
from streamcolor.sinks.mux import MuxSink
"""
TRY_PIPE = """
try:
    write_drawn(MuxSink("-", codec="ffv1"), info_of((128, 96)), 60)
except SinkError as error:
    sys.exit(str(error))
"""


def run_in_child(code, **how):
    """Run Python code beside the tests, in a process of its own."""
    code = IMPORTS + code
    where = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    return subprocess.run([sys.executable, "-c", code], check=False, env=where, timeout=50, **how)


def message_of(make, info=None, frames=1):
    """The error of a run: one line."""
    with pytest.raises(SinkError) as caught:
        write_drawn(make(), info or info_of(), frames)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_missing_folder_is_named(tmp_path):
    text = message_of(lambda: MuxSink(tmp_path / "no" / "a.mkv"))
    assert text == f"cannot write {tmp_path}/no/a.mkv: {tmp_path}/no is not a folder; create it first"


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert "is not a folder" in message_of(lambda: MuxSink(tmp_path / "file" / "a.mkv"))


def test_a_folder_that_refuses_files_is_said():
    """Even root cannot create files there."""
    assert message_of(lambda: MuxSink("/proc/a.mkv")).startswith("cannot write /proc/a.mkv: ")


def test_an_output_that_is_a_folder_is_said(tmp_path):
    (tmp_path / "a.mkv").mkdir()
    assert "it is a folder" in message_of(lambda: MuxSink(tmp_path / "a.mkv", overwrite=True))


def test_an_existing_output_is_kept(tmp_path):
    path = tmp_path / "a.mkv"
    path.write_bytes(b"precious")
    assert "it exists" in message_of(lambda: MuxSink(path))
    assert path.read_bytes() == b"precious"
    assert [file.name for file in tmp_path.iterdir()] == ["a.mkv"]


def test_an_output_that_appears_meanwhile_is_kept(tmp_path):
    path = tmp_path / "a.mkv"
    sink = MuxSink(path)
    sink.open(info_of())
    sink.write(drawn(info_of(), 0))
    path.write_bytes(b"precious")
    with pytest.raises(SinkError, match="it exists"):
        sink.finish()
    sink.close()
    assert path.read_bytes() == b"precious"
    assert [file.name for file in tmp_path.iterdir()] == ["a.mkv"]


def test_an_existing_output_is_replaced_only_by_a_complete_one(tmp_path):
    path = tmp_path / "a.mkv"
    path.write_bytes(b"old")
    sink = MuxSink(path, overwrite=True)
    sink.open(info_of())
    sink.write(drawn(info_of(), 0))
    assert path.read_bytes() == b"old"
    sink.finish()
    sink.close()
    assert len(read_frames(path)) == 1


def test_while_writing_only_a_hidden_partial_file_is_there(tmp_path):
    sink = MuxSink(tmp_path / "a.mkv")
    sink.open(info_of())
    sink.write(drawn(info_of(), 0))
    [partial] = tmp_path.iterdir()
    assert partial.match(".a.partial-*.mkv")
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_closing_twice_or_unopened_is_harmless(tmp_path):
    sink = MuxSink(tmp_path / "a.mkv")
    sink.close()
    write_drawn(sink, info_of())
    sink.close()
    assert len(read_frames(tmp_path / "a.mkv")) == 5


@pytest.mark.parametrize(
    "name", ["a:b.mkv", "100%d.mp4", "Größe \N{HIRAGANA LETTER A}.mkv", "x" * 250 + ".mkv", "-.mkv", "http.mkv"]
)
def test_any_name_is_a_name(tmp_path, name):
    write_drawn(MuxSink(tmp_path / name), info_of(), 1)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_no_descriptor_stays_open_after_an_error(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for codec in ("libx264", "mpeg4"):
        message_of(lambda codec=codec: MuxSink(tmp_path / "a.mkv", codec=codec, options={"threads": "banana"}))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


FULL_DISK = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
import numpy as np
info = info_of((128, 96))
sink = MuxSink({path!r}, codec={codec!r})
try:
    write_drawn(sink, info, {frames})
except SinkError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("name", "codec", "limit"), [("a.mkv", "ffv1", 40_000), ("a.mp4", "ffv1", 40_000), ("a.ts", "libx264", 9_000)]
)
def test_a_full_disk_ends_the_run_and_leaves_nothing(tmp_path, name, codec, limit):
    path = tmp_path / name
    done = run_in_child(
        FULL_DISK.format(path=str(path), codec=codec, frames=40, limit=limit), capture_output=True, text=True
    )
    assert done.stdout == f"cannot write {path}: File too large\n"
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_only_at_the_end_is_noticed(tmp_path):
    """The last bytes leave Python's buffer when the file is closed."""
    path = tmp_path / "a.mkv"
    write_drawn(MuxSink(path, codec="ffv1"), info_of((128, 96)), 3)
    limit = path.stat().st_size - 10
    path.unlink()
    code = FULL_DISK.format(path=str(path), codec="ffv1", frames=3, limit=limit)
    done = run_in_child(code, capture_output=True, text=True)
    assert done.stdout == f"cannot write {path}: File too large\n"
    assert list(tmp_path.iterdir()) == []


def test_standard_output_gets_a_stream():
    done = run_in_child("write_drawn(MuxSink('-'), info_of(), 5)", capture_output=True)
    assert done.stderr == b""
    with av.open(io.BytesIO(done.stdout)) as found:
        assert "matroska" in found.format.name
        assert len(list(found.decode(video=0))) == 5


def test_sound_without_a_header_of_its_own_reaches_standard_output(tmp_path):
    """AAC of MPEG-TS: Matroska would have to know from the first byte what only the packets say."""
    film, source = make_clip(tmp_path / "film.mp4", codec="libx264", frames=25, audio=1), tmp_path / "film.ts"
    convert(film, MuxSink(source))
    done = run_in_child(f"convert({str(source)!r}, MuxSink('-'))", capture_output=True)
    assert done.stderr == b""
    with av.open(io.BytesIO(done.stdout)) as found:
        assert found.format.name == "mpegts"
        assert sum(frame.samples for frame in found.decode(audio=0)) > 40_000


def test_standard_output_on_a_full_device_is_said():
    with Path("/dev/full").open("wb") as full:
        done = run_in_child(TRY_PIPE, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "cannot write -: No space left on device\n"


def test_a_closed_standard_output_is_said():
    done = run_in_child("import os; os.close(1)\n" + TRY_PIPE, stderr=subprocess.PIPE, text=True)
    assert done.stderr == "cannot write -: Bad file descriptor\n"


def test_a_reader_that_leaves_ends_the_run_cleanly():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        done = run_in_child(TRY_PIPE, stdout=pipe, stderr=subprocess.PIPE, text=True)
    assert done.stderr == "cannot write -: Broken pipe\n"


def test_an_unknown_codec_gets_the_list_of_known_ones(tmp_path):
    text = message_of(lambda: MuxSink(tmp_path / "a.mkv", codec="x264"))
    assert text.startswith("unknown video codec x264 (did you mean libx264?); known: libx264, libx265,")
    assert list(tmp_path.iterdir()) == []


def test_known_encoders_are_there():
    assert {"libx264", "ffv1"} <= set(known_encoders())
    for name in known_encoders():
        assert find_encoder(name).name == name


def test_a_codec_that_is_no_video_codec_is_said(tmp_path):
    text = message_of(lambda: MuxSink(tmp_path / "a.mkv", codec="aac"))
    assert text.startswith("aac is no video codec but one for audio; known: libx264")


def test_a_codec_that_holds_no_planar_picture_says_what_it_holds(tmp_path):
    text = message_of(lambda: MuxSink(tmp_path / "a.mkv", codec="png"))
    assert text.startswith("png cannot hold planar Y'CbCr, only rgb24,") or ".mkv cannot hold png" in text
    text = message_of(lambda: MuxSink(tmp_path / "a.mkv", codec="libx264rgb"))
    assert text == "libx264rgb cannot hold planar Y'CbCr, only bgr0, bgr24, rgb24"


@pytest.mark.parametrize(
    ("suffix", "codec", "able"),
    [
        ("webm", "libx264", "libvpx-vp9, libsvtav1"),
        ("ts", "ffv1", "libx264, libx265, mpeg4"),
        ("mov", "ffv1", "libx264"),
    ],
)
def test_a_container_that_cannot_hold_the_codec_says_which_it_can(tmp_path, suffix, codec, able):
    text = message_of(lambda: MuxSink(tmp_path / f"a.{suffix}", codec=codec))
    assert text.startswith(f".{suffix} cannot hold {codec}; it can hold {able}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.avi", "a", "a.txt"])
def test_an_unknown_suffix_gets_the_list_of_known_ones(tmp_path, name):
    with pytest.raises(SinkError, match=r"unknown suffix .*; known: \.mp4, .*\.webm"):
        MuxSink(tmp_path / name)


@pytest.mark.parametrize("name", ["rtmp://me:secret@host/live", "ftp://me:secret@host/a.mp4"])
def test_an_address_is_refused_without_its_password(name):
    with pytest.raises(SinkError, match=r"cannot write [a-z]+://\*\*\*@host/.*: it is an address; name a file"):
        MuxSink(name)


def test_a_name_that_is_too_long_is_said(tmp_path):
    assert message_of(lambda: MuxSink(tmp_path / f"{'x' * 300}.mkv")).endswith(".mkv: File name too long")


def test_a_pipe_or_a_device_is_not_replaced_by_a_file(tmp_path):
    path = tmp_path / "a.mkv"
    os.mkfifo(path)
    assert "it is a pipe or a device" in message_of(lambda: MuxSink(path, overwrite=True))
    assert path.is_fifo()


def test_two_outputs_with_long_names_that_begin_alike_do_not_meet(tmp_path):
    paths = [tmp_path / f"{'camera ' * 8}{number}.mkv" for number in (1, 2)]
    sinks = [MuxSink(path) for path in paths]
    for sink in sinks:
        sink.open(info_of())
    for index in range(3):
        for sink in sinks[: index + 1]:
            sink.write(drawn(info_of(), index))
    for sink in sinks:
        sink.finish()
        sink.close()
    assert [len(read_frames(path)) for path in paths] == [3, 2]


def test_the_default_codec_fits_its_container():
    for suffix in (".mp4", ".mkv", ".mov", ".ts"):
        assert default_codec(suffix) == "libx264"
    assert (default_codec(".webm"), default_codec(".webm", 10)) == ("libvpx-vp9", "libsvtav1")


def test_an_option_that_the_encoder_lacks_is_named(tmp_path):
    text = message_of(lambda: MuxSink(tmp_path / "a.mkv", options={"banana": "1"}))
    assert text == "libx264 has no option banana"


@pytest.mark.parametrize("settings", [{"preset": "quick"}, {"options": {"crf": "high"}}])
def test_a_setting_that_the_encoder_refuses_is_shown(tmp_path, settings):
    text = message_of(lambda: MuxSink(tmp_path / "a.mkv", **settings))
    assert text.startswith("libx264 cannot be opened for 64x48 yuv420p with ")
    assert ("preset=quick" in text) or ("crf=high" in text)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_too_small_for_the_codec_is_said(tmp_path):
    text = message_of(lambda: MuxSink(tmp_path / "a.mkv", codec="libx265"), info_of((1, 1)))
    assert text.startswith("libx265 cannot be opened for 1x1 ")


@pytest.mark.parametrize("other", [{"size": (32, 48)}, {"depth": 10}])
def test_a_picture_unlike_the_others_is_said(tmp_path, other):
    sink = MuxSink(tmp_path / "a.mkv")
    sink.open(info_of())
    with pytest.raises(SinkError, match="write pictures into a folder"):
        sink.write(drawn(info_of(**other), 0))
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_fails_in_the_middle_ends_the_run(tmp_path):
    sink = MuxSink(tmp_path / "a.mp4", codec="mpeg4")
    info = info_of()
    sink.open(info)
    sink.write(drawn(info, 0))
    sink.write(drawn(info, 1))
    with pytest.raises(SinkError, match="mpeg4 cannot encode: Invalid argument"):
        sink.write(drawn(info, 2, pts=1))  # not later than the one before
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_a_time_base_too_fine_for_a_codec_is_said(tmp_path):
    text = message_of(lambda: MuxSink(tmp_path / "a.mkv", codec="mpeg4"), info_of(time_base=Fraction(1, 90_000)))
    assert text.startswith("mpeg4 cannot be opened")


def test_a_stream_without_pictures_is_said(tmp_path):
    assert "not one picture arrived" in message_of(lambda: MuxSink(tmp_path / "a.mkv"), frames=0)
    assert list(tmp_path.iterdir()) == []
