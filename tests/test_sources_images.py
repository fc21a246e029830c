"""Pictures and folders of them: all kinds, in a person's order, without tripping over a damaged one."""

import errno
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamcolor.errors import SourceError
from streamcolor.frames import ColorSpace, Matrix
from streamcolor.sources.images import ImagesSource


def ramp(height=5, width=256, dtype=np.uint8):
    return np.linspace(0, np.iinfo(dtype).max, width).astype(dtype)[None].repeat(height, axis=0)


def save(path, samples):
    assert cv2.imwrite(str(path), samples)
    return path


def read(path):
    source = ImagesSource("scans", path)
    return source.info, list(source), source.report()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".pgm", ".webp"])
def test_every_gray_level_arrives(tmp_path, suffix):
    samples = ramp() if suffix != ".webp" else ramp()[..., None].repeat(3, axis=2)
    path = tmp_path / f"scan{suffix}"
    assert cv2.imwrite(str(path), samples, [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else [])
    info, (frame,), report = read(path)
    assert np.array_equal(frame.luma, ramp())
    assert set(frame.chroma[0].ravel()) == set(frame.chroma[1].ravel()) == {128}
    assert frame.space == info.space == ColorSpace(Matrix.BT601, full_range=True, depth=8)
    assert (info.pictures, info.chroma_shift, info.tags.matrix) == ((path.name,), (0, 0), 6)
    assert (report.frames, report.complete) == (1, True)


def test_sixteen_bits_become_twelve(tmp_path):
    _, (frame,), _ = read(save(tmp_path / "scan.png", ramp(width=4096, dtype=np.uint16)))
    assert frame.space.depth == 12
    assert np.array_equal(np.unique(frame.luma), np.arange(4096))
    assert set(frame.chroma[0].ravel()) == {2048}


def test_color_becomes_full_range_bt601_with_a_chroma_sample_per_pixel(tmp_path):
    samples = np.zeros((3, 5, 3), np.uint8)
    samples[..., 2] = 255  # red, in OpenCV's order
    _, (frame,), _ = read(save(tmp_path / "red.png", samples))
    cb, cr = frame.chroma
    assert cb.shape == cr.shape == frame.luma.shape == (3, 5)
    assert abs(int(frame.luma[0, 0]) - 0.299 * 255) < 1
    assert abs(int(cb[0, 0]) - (128 - 0.168736 * 255)) < 1
    assert cr[0, 0] == 255


def test_sixteen_bit_color_keeps_its_depth(tmp_path):
    samples = ramp(dtype=np.uint16)[..., None].repeat(3, axis=2)
    _, (frame,), _ = read(save(tmp_path / "scan.tif", samples))
    assert frame.space.depth == 12
    assert frame.luma.max() == 4095
    assert set(frame.chroma[0].ravel()) == {2048}


def test_transparency_is_dropped(tmp_path):
    samples = ramp()[..., None].repeat(4, axis=2)
    _, (frame,), _ = read(save(tmp_path / "scan.png", samples))
    assert np.array_equal(frame.luma, ramp())


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (7, 3)])
def test_tiny_and_odd_pictures_are_read(tmp_path, shape):
    _, (frame,), _ = read(save(tmp_path / "dot.png", np.full(shape, 9, np.uint8)))
    assert frame.luma.shape == frame.chroma[0].shape == shape


def test_a_folder_is_read_in_a_persons_order(tmp_path):
    for name in ("scan 10.png", "scan 2.png", "Scan 1.PNG", "appendix.jpg", "scan 2b.png", ".hidden.png"):
        save(tmp_path / name, np.full((4, 4), 9, np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "folder.png").mkdir()
    info, frames, report = read(tmp_path)
    assert info.pictures == ("appendix.jpg", "Scan 1.PNG", "scan 2.png", "scan 2b.png", "scan 10.png")
    assert [frame.pts for frame in frames] == [0, 1, 2, 3, 4]
    assert (info.frames, info.rate, info.time_base) == (5, 25, 1 / info.rate)
    assert report.complete


def test_sizes_and_depths_may_differ(tmp_path):
    save(tmp_path / "1.png", ramp(4, 6))
    save(tmp_path / "2.png", ramp(5, 9, np.uint16))
    save(tmp_path / "3.png", ramp(4, 6))
    info, frames, _ = read(tmp_path)
    assert [(frame.luma.shape, frame.space.depth) for frame in frames] == [((4, 6), 8), ((5, 9), 12), ((4, 6), 8)]
    assert (info.width, info.height, info.space.depth) == (6, 4, 8)


def test_gray_pictures_of_one_size_share_their_neutral_chroma(tmp_path):
    for index in range(3):
        save(tmp_path / f"{index}.png", ramp())
    _, frames, _ = read(tmp_path)
    assert len({id(plane) for frame in frames for plane in frame.chroma}) == 1
    assert not frames[0].chroma[0].flags.writeable


def test_damaged_pictures_are_counted_named_and_leave_a_gap(tmp_path):
    for index in range(5):
        save(tmp_path / f"{index}.png", ramp())
    (tmp_path / "0.png").write_bytes(b"")
    (tmp_path / "2.png").write_bytes(b"not a picture")
    save(tmp_path / "4.tif", ramp().astype(np.float32))
    info, frames, report = read(tmp_path)
    assert [info.pictures[frame.pts] for frame in frames] == ["1.png", "3.png", "4.png"]
    assert (report.frames, report.undecodable, report.complete) == (3, 3, False)
    assert report.warnings == (
        "0.png is empty",
        "2.png is damaged or not a picture",
        "4.tif has samples of float32; 8 and 16 bits are understood",
    )


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp"])
def test_a_picture_that_was_cut_off_is_damaged(tmp_path, suffix):
    save(tmp_path / "1.png", ramp())
    path = save(tmp_path / f"2{suffix}", np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    _, frames, report = read(tmp_path)
    assert len(frames) == 1
    assert report.warnings == (f"2{suffix} is damaged or not a picture",)


def test_a_picture_turned_by_its_camera_is_upright(tmp_path):
    path = save(tmp_path / "turned.jpg", ramp(8, 16))
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    _, (frame,), _ = read(path)
    assert frame.luma.shape == (16, 8)


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"scans: cannot open .*none: no such file or folder"):
        ImagesSource("scans", tmp_path / "none")


def test_a_folder_without_pictures_says_what_a_picture_is(tmp_path):
    (tmp_path / "film.mp4").touch()
    with pytest.raises(SourceError, match=r"scans: no pictures in .* \(.*\.png"):
        ImagesSource("scans", tmp_path)


def test_a_folder_of_hidden_pictures_has_none(tmp_path):
    save(tmp_path / "scan.png", ramp()).rename(tmp_path / "._scan.png")
    with pytest.raises(SourceError, match="no pictures in"):
        ImagesSource("scans", tmp_path)


def test_a_folder_that_may_not_be_listed_is_said():
    class Locked(type(Path())):
        def iterdir(self):
            raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.raises(SourceError, match="scans: cannot open /: Permission denied"):
        ImagesSource("scans", Locked("/"))


def test_a_folder_of_nothing_but_damage_is_an_error(tmp_path):
    (tmp_path / "1.png").write_bytes(b"\x89PNG but no more")
    with pytest.raises(SourceError, match=r"no picture of .* can be read: 1.png is damaged"):
        ImagesSource("scans", tmp_path)


def test_a_report_before_the_end_does_not_claim_completeness(tmp_path):
    for index in range(2):
        save(tmp_path / f"{index}.png", ramp())
    source = ImagesSource("scans", tmp_path)
    next(iter(source))
    source.close()
    assert not source.report().complete


def test_of_a_file_with_several_pages_the_others_are_named(tmp_path):
    pages = [np.full((8, 8), value, np.uint8) for value in (10, 20, 30)]
    cv2.imwritemulti(str(tmp_path / "scan.tif"), pages)
    cv2.imwrite(str(tmp_path / "single.tif"), pages[0])
    source = ImagesSource("test", tmp_path)
    frames = list(source)
    assert [int(frame.luma[0, 0]) for frame in frames] == [10, 10]
    assert source.report().warnings == ("scan.tif has 3 pages or frames: only the first is colored",)
