"""Decoding on a GPU is asked for, refused or left alone; its NV12 and P010 mean the same as the processor's planes."""

from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from av.codec.hwaccel import HWAccel
from clips import as_downloaded, make_clip

from streamcolor.errors import ConfigError, SourceError
from streamcolor.frames import Frame
from streamcolor.settings import Settings
from streamcolor.sources import av_source, hwaccel
from streamcolor.sources.av_source import AvSource
from streamcolor.sources.hwaccel import decoder, why_no_decoding
from streamcolor.wiring import open_source

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


def frames_of(path, **options):
    source = AvSource("film", str(path), **options)
    frames = [
        (item.pts, item.luma.copy(), *(plane.copy() for plane in item.chroma))
        for item in source
        if isinstance(item, Frame)
    ]
    report = source.report()
    source.close()
    return source.info, frames, report


@pytest.mark.parametrize(
    ("software", "surface"), [("yuv420p", "nv12"), ("yuv420p10le", "p010le"), ("yuvj420p", "nv12")]
)
@pytest.mark.parametrize("size", [(64, 48), (50, 38)])
def test_surfaces_hold_the_same_planes(software, surface, size, tmp_path, monkeypatch):
    """What NVDEC gives is made of the processor's pictures: planes, times, space and size must not differ."""
    codec = "mjpeg" if software == "yuvj420p" else "libx264"
    options = {"qmin": "1"} if codec == "mjpeg" else None
    path = make_clip(
        tmp_path / "film.mkv", codec=codec, pix_fmt=software, size=size, frames=6, gray=False, options=options
    )
    info, expected, _ = frames_of(path)
    decode = AvSource._pictures

    def downloaded(source, packet):
        return [as_downloaded(picture, surface) for picture in decode(source, packet)]

    monkeypatch.setattr(av_source.AvSource, "_pictures", downloaded)
    found_info, found, report = frames_of(path)
    assert (found_info.space, found_info.chroma_shift) == (info.space, info.chroma_shift)
    assert (found_info.width, found_info.height, found_info.tags) == (info.width, info.height, info.tags)
    assert report.complete
    assert report.rescaled == 0
    assert len(found) == 6
    for one, other in zip(expected, found, strict=True):
        assert one[0] == other[0]
        for plane, same in zip(one[1:], other[1:], strict=True):
            assert np.array_equal(plane, same)


class TestModes:
    @pytest.fixture(autouse=True)
    def usable(self, monkeypatch):
        """As if there were a GPU that all can use."""
        monkeypatch.setattr(hwaccel, "why_no_decoding", lambda: "")
        monkeypatch.setattr(hwaccel, "why_no_cuda", lambda: "")

    def test_auto_lets_the_processor_decode_what_the_gpu_cannot(self):
        assert decoder("auto").allow_software_fallback

    def test_cuda_does_not(self):
        assert not decoder("cuda").allow_software_fallback

    def test_pictures_are_downloaded_unless_there_is_a_device_for_them(self):
        assert not decoder("cuda").is_hw_owned

    @pytest.mark.parametrize("mode", ["auto", "cuda"])
    def test_pictures_are_left_in_the_memory_of_a_device(self, mode):
        shared = {"primary_ctx": "0", "current_ctx": "1"}
        decodes = decoder(mode, SimpleNamespace(options=lambda: shared))
        assert decodes.is_hw_owned
        assert decodes.options == shared
        assert decodes.allow_software_fallback == (mode == "auto")

    def test_off_asks_for_nothing(self, monkeypatch):
        monkeypatch.delattr(hwaccel, "why_no_cuda")
        assert decoder("off") is None

    def test_auto_leaves_the_gpu_alone_if_torch_cannot_use_it(self, monkeypatch):
        monkeypatch.setattr(hwaccel, "why_no_cuda", lambda: "torch is not installed")
        assert decoder("auto") is None
        assert decoder("cuda") is not None

    def test_auto_says_when_ffmpeg_cannot_use_what_torch_can(self, monkeypatch, caplog):
        monkeypatch.setattr(hwaccel, "why_no_decoding", lambda: "FFmpeg cannot open the GPU: Unknown error")
        assert decoder("auto") is None
        assert "the processor decodes: FFmpeg cannot open the GPU" in caplog.text

    def test_cuda_fails_then(self, monkeypatch):
        monkeypatch.setattr(hwaccel, "why_no_decoding", lambda: "FFmpeg cannot open the GPU: Unknown error")
        with pytest.raises(ConfigError, match="hwaccel cuda cannot be used: FFmpeg cannot open the GPU"):
            decoder("cuda")


@without_gpu
class TestWithoutAGpu:
    def test_auto_is_the_processor(self):
        assert decoder("auto") is None

    def test_cuda_says_why_not(self):
        with pytest.raises(ConfigError, match=r"hwaccel cuda cannot be used: .*NVIDIA driver"):
            decoder("cuda")

    def test_ffmpeg_is_asked_too(self, monkeypatch):
        monkeypatch.setattr(hwaccel, "why_no_gpu", lambda: "")
        assert why_no_decoding().startswith("FFmpeg cannot open the GPU: ")

    def test_a_source_that_was_told_to_use_it_fails_in_one_line(self, tmp_path):
        path = make_clip(tmp_path / "film.mp4", codec="libx264", frames=2)
        with pytest.raises(SourceError, match=r"film: cannot open .*film\.mp4: "):
            AvSource("film", str(path), hwaccel=HWAccel("cuda"))


class TestWhatNoGpuDecodes:
    def test_is_decoded_by_the_processor(self, tmp_path):
        path = make_clip(tmp_path / "film.mkv", codec="ffv1", frames=3)
        _, frames, report = frames_of(path, hwaccel=HWAccel("cuda", allow_software_fallback=True))
        assert len(frames) == 3
        assert report.complete

    def test_or_refused(self, tmp_path):
        path = make_clip(tmp_path / "film.mkv", codec="ffv1", frames=3)
        with pytest.raises(SourceError, match=r"the GPU cannot decode .*film\.mkv: use hwaccel auto"):
            AvSource("film", str(path), hwaccel=HWAccel("cuda", allow_software_fallback=False))


def test_the_setting_reaches_the_source(tmp_path, monkeypatch):
    path = make_clip(tmp_path / "film.mkv", codec="ffv1", frames=2)
    asked = []
    monkeypatch.setattr("streamcolor.wiring.decoder", lambda mode, _: asked.append(mode))
    for mode in ("auto", "cuda", "off"):
        open_source(Settings(str(path), "out.mkv", hwaccel=mode), "film").close()
    assert asked == ["auto", "cuda", "off"]


def test_a_wrong_mode_is_named():
    with pytest.raises(ConfigError, match="hwaccel is 'vaapi': choose auto, cuda, off"):
        Settings("film.mkv", "out.mkv", hwaccel="vaapi")


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.ts"])
def test_a_real_gpu_decodes_the_same_luma(name, tmp_path):
    path = make_clip(tmp_path / name, codec="libx264", size=(320, 240), frames=24, gray=False, options={"bf": "2"})
    _, expected, _ = frames_of(path)
    _, found, report = frames_of(Path(path), hwaccel=HWAccel("cuda", allow_software_fallback=False))
    assert report.complete
    for one, other in zip(expected, found, strict=True):
        assert one[0] == other[0]
        assert all(np.array_equal(plane, same) for plane, same in zip(one[1:], other[1:], strict=True))


def test_pyav_still_downloads_surfaces_unless_told_otherwise():
    assert HWAccel("cuda").is_hw_owned is False
    assert "cuda" in av.codec.hwaccel.hwdevices_available()
