"""Every pixel format comes out as planes whose luma is the decoder's."""

import av
import numpy as np
import pytest
from clips import picture_frame, picture_planes, planes_of

from streamcolor.frames import ColorSpace, ColorTags, Matrix
from streamcolor.sources.pixels import Layout, Normalizer, has_alpha, space_of, tags_of

SIZE = (64, 48)


def prepared(pix_fmt, size=SIZE, **keywords):
    frame = picture_frame(3, size, pix_fmt, gray=False, **keywords)
    normalizer = Normalizer(frame)
    return frame, normalizer, *normalizer.planes(normalizer(frame))


@pytest.mark.parametrize("sampling", ["420", "422", "444"])
@pytest.mark.parametrize("ending", ["", "10le", "12le"])
def test_planar_formats_are_read_in_place(sampling, ending):
    frame, normalizer, luma, chroma = prepared(f"yuv{sampling}p{ending}")
    assert normalizer(frame) is frame
    for ours, theirs in zip((luma, *chroma), planes_of(frame), strict=True):
        assert np.array_equal(ours, theirs)
    address = luma.__array_interface__["data"][0]
    assert address == frame.planes[0].buffer_ptr


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le", "gray12le"])
def test_gray_gets_one_neutral_plane_for_the_whole_stream(pix_fmt):
    frame, normalizer, luma, (cb, cr) = prepared(pix_fmt, size=(63, 47))
    assert np.array_equal(luma, planes_of(frame)[0])
    assert cb is cr
    assert cb is normalizer.planes(frame)[1][0]
    assert cb.shape == (24, 32)
    assert set(cb.ravel()) == {1 << (normalizer.space.depth - 1)}
    with pytest.raises(ValueError, match="read-only"):
        cb[0, 0] = 0


@pytest.mark.parametrize(
    ("pix_fmt", "expected"),
    [
        ("nv12", "yuv420p"),
        ("nv21", "yuv420p"),
        ("nv16", "yuv422p"),
        ("yuyv422", "yuv422p"),
        ("p010le", "yuv420p10le"),
        ("p016le", "yuv420p12le"),
        ("yuv410p", "yuv420p"),
        ("yuv411p", "yuv422p"),
        ("yuv440p", "yuv444p"),
        ("yuvj444p", "yuv444p"),
        ("yuv420p9le", "yuv420p10le"),
        ("yuv444p14le", "yuv444p12le"),
        ("yuv422p16le", "yuv422p12le"),
        ("yuv420p10be", "yuv420p10le"),
        ("yuva420p", "yuv420p"),
        ("gray16le", "gray12le"),
        ("gray14le", "gray12le"),
        ("gray9le", "gray10le"),
        ("ya8", "gray"),
        ("monob", "gray"),
        ("rgb24", "yuv420p"),
        ("bgr0", "yuv420p"),
        ("gbrp", "yuv420p"),
        ("gbrp10le", "yuv420p10le"),
        ("rgb48le", "yuv420p12le"),
        ("pal8", "yuv420p"),
    ],
)
def test_every_other_format_has_a_nearest_one(pix_fmt, expected):
    layout = Layout.nearest(av.VideoFormat(pix_fmt, 16, 16))
    assert layout.name == expected
    assert layout.gray == expected.startswith("gray")


@pytest.mark.parametrize("marked", [1, 2])
@pytest.mark.parametrize("pix_fmt", ["nv12", "nv21", "nv16", "yuyv422", "yuv410p", "yuv411p", "yuv440p", "yuva420p"])
def test_eight_bit_luma_is_exact(pix_fmt, marked):
    frame = picture_frame(3, SIZE, pix_fmt, gray=False)
    frame.color_range = marked
    normalizer = Normalizer(frame)
    luma, _ = normalizer.planes(normalizer(frame))
    assert np.array_equal(luma, picture_planes(3, SIZE, gray=False)[0])


def test_ten_bit_luma_in_high_bits_is_exact():
    ten = picture_frame(3, SIZE, "yuv420p10le", gray=False)
    frame = ten.reformat(format="p010le", threads=1)
    normalizer = Normalizer(frame)
    luma, _ = normalizer.planes(normalizer(frame))
    assert normalizer.space.depth == 10
    assert np.array_equal(luma, planes_of(ten)[0])


@pytest.mark.parametrize("pix_fmt", ["rgb24", "bgr0", "gbrp", "bgr24", "rgba"])
def test_gray_in_rgb_keeps_every_level_and_is_neutral(pix_fmt):
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(16, axis=0)
    frame = av.VideoFrame.from_ndarray(ramp, format="rgb24").reformat(format=pix_fmt, threads=1)
    normalizer = Normalizer(frame)
    luma, (cb, cr) = normalizer.planes(normalizer(frame))
    assert normalizer.space.full_range
    assert np.array_equal(luma, ramp[..., 0])
    assert set(cb.ravel()) == set(cr.ravel()) == {128}


def test_rgb_is_coded_with_the_matrix_that_is_announced():
    red = np.zeros((720, 16, 3), np.uint8)
    red[..., 0] = 255
    frame = av.VideoFrame.from_ndarray(red, format="rgb24")
    normalizer = Normalizer(frame)
    luma, _ = normalizer.planes(normalizer(frame))
    assert normalizer.space.matrix is Matrix.BT709
    assert normalizer.tags.matrix == 1
    assert abs(int(luma[0, 0]) - 0.2126 * 255) < 1


def test_sixteen_bit_gray_keeps_white_and_black():
    ramp = np.linspace(0, 65535, 512).astype(np.uint16)[None].repeat(4, axis=0)
    frame = av.VideoFrame.from_ndarray(ramp, format="gray16le")
    normalizer = Normalizer(frame)
    luma, _ = normalizer.planes(normalizer(frame))
    assert luma[0, 0] == 0
    assert abs(luma.astype(float) - ramp / 65535 * 4095).max() < 2
    assert normalizer.space == ColorSpace(Matrix.BT601, full_range=True, depth=12)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (63, 47)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "nv12", "rgb24", "gray"])
def test_odd_and_tiny_pictures_keep_their_size(pix_fmt, size):
    _, normalizer, luma, (cb, _) = prepared(pix_fmt, size=size)
    across, down = normalizer.layout.chroma_shift
    assert luma.shape == size[::-1]
    assert cb.shape == (-(-size[1] // (1 << down)), -(-size[0] // (1 << across)))


@pytest.mark.parametrize(
    ("size", "marked", "codec", "matrix", "number"),
    [
        ((64, 48), 2, 2, Matrix.BT601, 6),
        ((64, 720), 2, 2, Matrix.BT709, 1),
        ((1280, 48), 2, 2, Matrix.BT709, 1),
        ((64, 48), 1, 2, Matrix.BT709, 1),
        ((64, 720), 5, 2, Matrix.BT601, 5),
        ((64, 720), 6, 2, Matrix.BT601, 6),
        ((64, 48), 9, 2, Matrix.BT2020, 9),
        ((64, 48), 10, 2, Matrix.BT2020, 9),
        ((64, 720), 4, 2, Matrix.BT601, 6),
        ((64, 48), 7, 2, Matrix.BT709, 1),
        ((64, 48), 2, 1, Matrix.BT709, 1),
        ((64, 48), 8, 2, Matrix.BT601, 6),
    ],
)
def test_the_matrix_comes_from_the_tag_or_the_size_and_is_announced(size, marked, codec, matrix, number):
    frame = av.VideoFrame(*size, "yuv420p")
    frame.colorspace, frame.color_primaries, frame.color_trc = marked, 9, 16
    space = space_of(frame, matrix=codec)
    assert space.matrix is matrix
    assert tags_of(frame, space) == ColorTags(primaries=9, transfer=16, matrix=number)


@pytest.mark.parametrize(
    ("pix_fmt", "marked", "codec", "full"),
    [
        ("yuv420p", 0, 0, False),
        ("yuv420p", 1, 0, False),
        ("yuv420p", 2, 0, True),
        ("yuv420p", 0, 2, True),
        ("yuvj420p", 0, 0, True),
        ("gray", 0, 0, True),
        ("gray10le", 1, 0, False),
        ("gray", 2, 0, True),
        ("rgb24", 0, 0, True),
    ],
)
def test_the_range_comes_from_the_mark_or_the_format(pix_fmt, marked, codec, full):
    frame = av.VideoFrame(16, 16, pix_fmt)
    frame.color_range = marked
    assert space_of(frame, full=codec).full_range is full


def test_a_picture_of_another_kind_is_brought_to_the_first_and_counted():
    normalizer = Normalizer(picture_frame(0, SIZE, "yuv420p"))
    larger = picture_frame(1, (128, 96), "yuv444p10le")
    luma, (cb, _) = normalizer.planes(normalizer(larger))
    assert (luma.shape, cb.shape, luma.dtype) == ((48, 64), (24, 32), np.uint8)
    assert normalizer.rescaled == 1


def test_a_range_that_changes_on_the_way_is_converted():
    normalizer = Normalizer(picture_frame(0, SIZE, "yuv420p"))
    white = picture_frame(1, SIZE, "yuv420p")
    np.frombuffer(white.planes[0], np.uint8)[:] = 255
    white.color_range = 2
    luma, _ = normalizer.planes(normalizer(white))
    assert set(luma.ravel()) == {235}
    assert normalizer.rescaled == 1


def test_a_mark_that_means_the_same_changes_nothing():
    normalizer = Normalizer(picture_frame(0, SIZE, "yuv420p"))
    marked = picture_frame(1, SIZE, "yuv420p")
    marked.color_range, marked.colorspace = 1, 5
    assert normalizer(marked) is marked
    assert normalizer.rescaled == 0


def test_transparency_is_noticed_but_not_in_palettes():
    assert has_alpha(av.VideoFormat("yuva420p"))
    assert has_alpha(av.VideoFormat("rgba"))
    assert not has_alpha(av.VideoFormat("pal8"))
    assert not has_alpha(av.VideoFormat("bgr0"))
