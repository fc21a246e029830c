"""Pictures keep their names, sizes and brightness, and say that their color is synthetic."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
from clips import make_clip
from sinks_feed import TAG, drawn, info_of, write_all, write_drawn

from streamcolor.errors import SinkError
from streamcolor.frames import ColorSpace, Frame, Matrix
from streamcolor.sinks.images import PICTURE_SUFFIXES, ImagesSink, to_bgr, upright
from streamcolor.sinks.synthetic import DIGITAL_SOURCE
from streamcolor.sources.av_source import AvSource


def picture_info(size=(9, 7), names=("a.png",), depth=8):
    """A stream of pictures, as their source describes it."""
    return info_of(size, depth=depth, shift=(0, 0), full_range=True, pictures=tuple(names))


def gray(info, pts=0, *, size=None):
    """A picture without color: luma is the gray value."""
    width, height = size or (info.width, info.height)
    most = (1 << info.space.depth) - 1
    luma = np.linspace(0, most, width * height).reshape(height, width).astype(info.space.dtype)
    neutral = np.full((height, width), 1 << (info.space.depth - 1), info.space.dtype)
    return Frame("test", pts, luma, (neutral, neutral), info.space, 0.0)


@pytest.mark.parametrize("suffix", [each for each in PICTURE_SUFFIXES if each not in (".jpg", ".jpeg", ".webp")])
def test_gray_values_come_out_exactly(tmp_path, suffix):
    info = picture_info()
    path = tmp_path / f"a{suffix}"
    [frame] = write_all(ImagesSink(path), info, [gray(info)])
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(pixels, np.repeat(frame.luma[..., None], 3, axis=2))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_lossy_formats_come_close(tmp_path, suffix):
    info = picture_info((64, 48))
    path = tmp_path / f"a{suffix.upper()}"
    [frame] = write_all(ImagesSink(path), info, [gray(info)])
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert np.abs(pixels.astype(int) - frame.luma[..., None]).mean() < 2


@pytest.mark.parametrize("matrix", list(Matrix))
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("depth", [8, 10, 12])
def test_known_colors_come_out_right(matrix, full_range, depth):
    space = ColorSpace(matrix, full_range=full_range, depth=depth)
    scale = 1 << (depth - 8)
    red_weight, blue_weight = matrix.value
    # pure red: Y' = K_R, Cb = -K_R / (2 (1 - K_B)), Cr = 1/2
    y, b, r = red_weight, -red_weight / (2 * (1 - blue_weight)), 0.5
    most = (1 << depth) - 1
    codes = (
        (y * most, b * most + 128 * scale, r * most + 128 * scale)
        if full_range
        else ((16 + 219 * y) * scale, (128 + 224 * b) * scale, (128 + 224 * r) * scale)
    )
    luma, cb, cr = (np.full((2, 2), min(round(code), most), space.dtype) for code in codes)
    pixels = to_bgr(Frame("test", 0, luma, (cb, cr), space, 0.0))
    white = 255 if depth == 8 else 65535
    np.testing.assert_allclose(pixels[0, 0] / white, (0, 0, 1), atol=0.012)


def test_a_large_picture_is_the_same_in_every_strip():
    info = info_of((64, 600))
    frame = drawn(info, 3)
    whole = to_bgr(frame)
    height, cut = 512, 256
    chroma = tuple(cv2.resize(plane, (64, 600)) for plane in frame.chroma)
    part = Frame("test", 0, frame.luma[cut:height], tuple(p[cut:height] for p in chroma), frame.space, 0.0)
    np.testing.assert_array_equal(to_bgr(part), whole[cut:height])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm"])
def test_deep_pictures_stay_deep(tmp_path, suffix):
    info = picture_info(depth=12)
    [frame] = write_all(ImagesSink(tmp_path / f"a{suffix}"), info, [gray(info)])
    pixels = cv2.imread(str(tmp_path / f"a{suffix}"), cv2.IMREAD_UNCHANGED)
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(np.rint(pixels[..., 1] * (4095 / 65535)), frame.luma)


def test_a_format_of_fewer_bits_is_said(tmp_path):
    info = picture_info(depth=12)
    sink = ImagesSink(tmp_path / "a.jpg")
    [frame] = write_all(sink, info, [gray(info)])
    pixels = cv2.imread(str(tmp_path / "a.jpg"), cv2.IMREAD_UNCHANGED)
    assert sink.warnings == (".jpg holds 8 bits per sample, the source has 12; .png and .tif keep them",)
    assert np.abs(pixels[..., 1] * 16.0 - frame.luma).mean() < 64


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp"])
def test_pictures_say_that_their_color_is_synthetic(tmp_path, suffix):
    info = picture_info()
    sink = ImagesSink(tmp_path / f"a{suffix}", tag="synthetic <color> & more")
    write_all(sink, info, [gray(info)])
    data = (tmp_path / f"a{suffix}").read_bytes()
    assert DIGITAL_SOURCE.encode() in data
    assert b"synthetic &lt;color&gt; &amp; more" in data
    assert sink.warnings == ()


def test_a_format_without_such_a_statement_is_said(tmp_path, capfd):
    info = picture_info()
    sink = ImagesSink(tmp_path / "a.bmp", tag=TAG)
    write_all(sink, info, [gray(info)])
    assert sink.warnings == (".bmp cannot say that the color is synthetic; .png, .jpg, .jpeg, .webp can",)
    assert capfd.readouterr() == ("", "")


def test_a_folder_keeps_names_sizes_and_order(tmp_path):
    names = ("2.jpg", "10.png", "damaged.png", "Größe b.tif")
    info = picture_info(names=names)
    frames = [gray(info, pts, size=(9 + pts, 7 + pts)) for pts in (0, 1, 3)]
    write_all(ImagesSink(tmp_path / "out"), info, frames)
    found = {file.name: cv2.imread(str(file)).shape[:2] for file in (tmp_path / "out").iterdir()}
    assert found == {"2.jpg": (7, 9), "10.png": (8, 10), "Größe b.tif": (10, 12)}
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_formats_that_are_not_written_become_png_without_losing_any(tmp_path):
    names = ("a.gif", "a.pgm", "a.png", "b")
    info = picture_info(names=names)
    sink = ImagesSink(tmp_path / "out")
    write_all(sink, info, [gray(info, pts) for pts in range(4)])
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"a-2.png", "a-3.png", "a.png", "b.png"}
    assert sink.warnings[0] == "a.gif becomes a-2.png: pictures are not written as .gif"


def test_frames_of_a_video_are_numbered(tmp_path):
    info = info_of()
    write_drawn(ImagesSink(tmp_path / "out"), info, pts=[0, 512, 1024])
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["000001.png", "000002.png", "000003.png"]


def test_a_number_that_is_taken_is_said_at_once(tmp_path):
    (tmp_path / "000002.png").write_bytes(b"precious")
    sink = ImagesSink(tmp_path)
    sink.open(info_of())
    sink.write(drawn(info_of(), 0))
    with pytest.raises(SinkError, match=r"000002\.png: it exists"):
        sink.write(drawn(info_of(), 1))
    sink.close()
    assert [file.name for file in tmp_path.iterdir()] == ["000002.png"]


def test_a_folder_that_is_there_is_all_that_is_touched(tmp_path, monkeypatch):
    """It may be a mount point: its parent is then another file system, from which nothing can be moved."""
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    info = picture_info()
    for name in (tmp_path / "out", "."):
        sink = ImagesSink(name, overwrite=True)
        sink.open(info)
        sink.write(gray(info))
        assert [file.name for file in tmp_path.iterdir()] == ["out"]
        sink.finish()
        sink.close()
        assert [file.name for file in (tmp_path / "out").iterdir()] == ["a.png"]


def test_pictures_join_those_that_are_there(tmp_path):
    (tmp_path / "other.txt").write_bytes(b"x")
    info = picture_info()
    write_all(ImagesSink(tmp_path), info, [gray(info)])
    assert {file.name for file in tmp_path.iterdir()} == {"other.txt", "a.png"}


@pytest.mark.parametrize("target", ["a.png", "."])
def test_an_existing_picture_is_kept_unless_allowed(tmp_path, target):
    info = picture_info()
    (tmp_path / "a.png").write_bytes(b"precious")
    with pytest.raises(SinkError, match="it exists"):
        write_all(ImagesSink(tmp_path / target), info, [gray(info)])
    assert (tmp_path / "a.png").read_bytes() == b"precious"
    write_all(ImagesSink(tmp_path / target, overwrite=True), info, [gray(info)])
    assert cv2.imread(str(tmp_path / "a.png")).shape == (7, 9, 3)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("target", ["a.png", "out"])
def test_nothing_is_left_of_an_unfinished_run(tmp_path, target):
    info = picture_info()
    sink = ImagesSink(tmp_path / target)
    sink.open(info)
    sink.write(gray(info))
    assert len(list(tmp_path.iterdir())) == 1
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_several_pictures_do_not_fit_one_file(tmp_path):
    with pytest.raises(SinkError, match="name a folder"):
        write_drawn(ImagesSink(tmp_path / "a.png"), info_of(), 2)
    info = picture_info(names=("a.png", "b.png"))
    with pytest.raises(SinkError, match="name a folder"):
        write_all(ImagesSink(tmp_path / "a.png"), info, [])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path):
    info = picture_info()
    for target in ("no/a.png", "no/out"):
        with pytest.raises(SinkError, match="no is not a folder; create it first"):
            write_all(ImagesSink(tmp_path / target), info, [gray(info)])


def test_a_folder_that_is_a_file_is_said(tmp_path):
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(SinkError, match="it is a file; name a folder"):
        write_all(ImagesSink(tmp_path / "out"), picture_info(), [])


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".png"])
def test_a_name_that_is_too_long_is_said(tmp_path, name):
    with pytest.raises(SinkError, match="File name too long"):
        write_all(ImagesSink(tmp_path / name), picture_info(), [])


def test_pictures_are_all_put_in_place_or_none(tmp_path):
    info = picture_info(names=("a.png", "b.png"))
    sink = ImagesSink(tmp_path)
    sink.open(info)
    for pts in (0, 1):
        sink.write(gray(info, pts))
    (tmp_path / "b.png").write_bytes(b"precious")
    with pytest.raises(SinkError, match=r"b\.png: it exists"):
        sink.finish()
    sink.close()
    assert [file.name for file in tmp_path.iterdir()] == ["b.png"]


def test_a_folder_that_refuses_files_is_said():
    """Even root cannot create files there."""
    info = picture_info()
    with pytest.raises(SinkError, match="cannot write /proc/self/out"):
        write_all(ImagesSink("/proc/self/out"), info, [gray(info)])


def test_a_picture_too_large_for_its_format_is_said(tmp_path):
    info = picture_info((20_000, 1))
    with pytest.raises(SinkError, match=r"\.webp does not hold a picture of 20000x1; \.png does"):
        write_all(ImagesSink(tmp_path / "a.webp"), info, [gray(info)])
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_pictures_leaves_no_empty_file(tmp_path):
    with pytest.raises(SinkError, match="not one picture arrived"):
        write_all(ImagesSink(tmp_path / "a.png"), picture_info(), [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("rotation", "turns"), [(0, 0), (90, 1), (180, 2), (270, 3), (-90, 3)])
def test_a_film_that_was_filmed_sideways_stands_upright(tmp_path, rotation, turns):
    path = make_clip(tmp_path / "film.mp4", frames=1, codec="libx264", size=(64, 48), rotation=rotation)
    source = AvSource("film", str(path))
    [frame] = [item for item in source if isinstance(item, Frame)]
    write_all(ImagesSink(tmp_path / "out"), source.info, [frame])
    source.close()
    pixels = cv2.imread(str(tmp_path / "out" / "000001.png"))
    np.testing.assert_array_equal(pixels, np.rot90(to_bgr(frame), turns))


def test_mirrors_are_those_of_the_display_matrix():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    one = 1 << 16
    for (a, b, c, d), expected in [
        ((-one, 0, 0, one), pixels[:, ::-1]),
        ((one, 0, 0, -one), pixels[::-1]),
        ((0, one, one, 0), pixels.swapaxes(0, 1)),
    ]:
        found = upright(pixels, aspect=Fraction(1), matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30))
        np.testing.assert_array_equal(found, expected)


def test_samples_that_are_not_square_become_so():
    pixels = np.zeros((48, 64, 3), np.uint8)
    assert upright(pixels, aspect=Fraction(16, 11), matrix=()).shape == (48, 93, 3)
