"""Video that stays on a device: the very same code on a processor, beside the ordinary way."""

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from av.codec.hwaccel import HWAccel
from clips import as_downloaded, make_clip, picture_planes, read_frames
from fakes import in_thread, picture
from networks import write_network
from runtimes import FakeDevice, FakeTensorRT, plan

from streamcolor import wiring
from streamcolor.backends import engine_cache, known_models
from streamcolor.backends.gpu import why_no_gpu
from streamcolor.backends.tensorrt_backend import TensorRTBackend
from streamcolor.backends.torch_backend import TorchBackend
from streamcolor.cli.outcomes import choices_said
from streamcolor.colorizer import Colorizer
from streamcolor.device import PITCH, DeviceColorizer, Gpu
from streamcolor.errors import BackendError
from streamcolor.frames import ColorSpace, DeviceFrame, Frame, Matrix
from streamcolor.settings import Settings
from streamcolor.sinks.encoders import takes, why_not
from streamcolor.sinks.pictures import Surfaces
from streamcolor.sources import surfaces
from streamcolor.sources.av_source import AvSource
from streamcolor.sources.deinterlace import Deinterlacer
from streamcolor.sources.hwaccel import decoder
from streamcolor.wiring import Job, open_device

MODEL = known_models()["tiny-fp32"]


class Processor(Gpu):
    """A device whose memory is ours; FFmpeg's NV12 is what lies there."""

    surface = "nv12"

    def __init__(self):
        self.name = torch.device("cpu")

    def options(self):
        return {}

    @contextmanager
    def ordered(self):
        yield


@pytest.fixture(scope="module")
def backend():
    return TorchBackend(MODEL, threads=1)


def frames(count=1, size=(96, 64), *, space=None, gray=True, stream="film"):
    """Pictures of (width, height), in memory."""
    made = []
    for index in range(count):
        luma, cb, cr = picture_planes(index, size, gray=gray)
        made.append(Frame(stream, index, luma, (cb, cr), space or ColorSpace(), captured=0.0))
    return made


def on_device(frame):
    """The same picture on the processor's device."""
    luma, chroma = torch.from_numpy(frame.luma), torch.from_numpy(np.stack(frame.chroma, -1))
    return DeviceFrame(frame.stream, frame.pts, luma, chroma, frame.space, frame.captured)


def both(backend, *, saturation=1.0, vividness=None, **settings):
    """The ordinary way, and the one on the device."""
    ordinary, decides = (Colorizer(backend, saturation=saturation, vividness=vividness, **settings) for _ in range(2))
    return ordinary, DeviceColorizer(decides, backend, Processor(), saturation=saturation, vividness=vividness), decides


def difference(expected, found):
    """By how many codes Cb and Cr differ, in all places of all pictures."""
    parts = [
        np.abs(np.stack(one.chroma, -1).astype(int) - np.stack(other.chroma, -1).astype(int)).ravel()
        for one, other in zip(expected, [frame.downloaded() for frame in found], strict=True)
    ]
    return np.concatenate(parts)


SPACES = [ColorSpace(matrix, full_range=full) for matrix in Matrix for full in (False, True)]


class TestColors:
    @pytest.mark.parametrize("space", SPACES, ids=str)
    def test_are_those_of_the_ordinary_way(self, backend, space):
        ordinary, device, _ = both(backend, every=1)
        made = frames(3, space=space)
        found = device([on_device(frame) for frame in made])
        assert difference(ordinary(made), found).max() <= 1

    @pytest.mark.parametrize("size", [(2, 2), (34, 18), (64, 48), (640, 360), (1280, 720)])
    def test_of_every_even_size(self, backend, size):
        ordinary, device, _ = both(backend, every=1)
        made = frames(2, size)
        assert difference(ordinary(made), device([on_device(frame) for frame in made])).max() <= 1

    @pytest.mark.parametrize(("saturation", "vividness"), [(0.0, None), (1.5, 1.0), (0.5, 0.0)])
    def test_follow_the_settings(self, backend, saturation, vividness):
        ordinary, device, _ = both(backend, saturation=saturation, vividness=vividness, every=1)
        made = frames(2)
        assert difference(ordinary(made), device([on_device(frame) for frame in made])).max() <= 1

    def test_luma_is_the_very_same_memory(self, backend):
        _, device, _ = both(backend)
        (frame,) = [on_device(frame) for frame in frames()]
        (colored,) = device([frame])
        assert colored.luma is frame.luma
        assert (colored.chroma != frame.chroma).any()

    def test_that_are_no_numbers_are_an_error(self, backend):
        class Mad:
            network = backend.network

            def colors(self, light, vividness):  # noqa: ARG002
                return torch.full((len(light), 2, light.shape[2] // 4, light.shape[3] // 4), torch.nan)

        device = DeviceColorizer(Colorizer(backend), Mad(), Processor(), saturation=1.0, vividness=None)
        with pytest.raises(BackendError, match="colors that are no numbers"):
            device([on_device(frame) for frame in frames()])

    def test_what_torch_says_of_a_gpu_is_an_error_of_ours(self, backend):
        class Lost:
            network = backend.network

            def colors(self, *_):
                raise torch.OutOfMemoryError("CUDA out of memory\nTried to allocate 2 GiB")

        device = DeviceColorizer(Colorizer(backend), Lost(), Processor(), saturation=1.0, vividness=None)
        with pytest.raises(BackendError, match="the GPU failed: CUDA out of memory Tried to allocate 2 GiB"):
            device([on_device(frame) for frame in frames()])

    def test_by_an_engine_are_those_of_its_predictions(self, tmp_path, monkeypatch):
        monkeypatch.setattr(engine_cache, "build", lambda *_, **__: plan(64, 64, batch=64))
        monkeypatch.setenv("STREAMCOLOR_CACHE", str(tmp_path))
        engine = FakeDevice()
        network = write_network(tmp_path / "toy.onnx")
        backend = TensorRTBackend(network, threads=1, trt=FakeTensorRT(engine, name="tensorrt_rtx"), device=engine)
        ordinary, device, _ = both(backend, every=1)
        made = frames(3, (64, 64))
        assert difference(ordinary(made), device([on_device(frame) for frame in made])).max() <= 1


class TestDecisions:
    @pytest.mark.parametrize("every", ["auto", 1, 3])
    @pytest.mark.parametrize("when_colored", ["keep", "replace"])
    @pytest.mark.parametrize("gray", [True, False])
    def test_are_those_of_the_ordinary_way(self, backend, every, when_colored, gray):
        ordinary, device, decides = both(backend, every=every, when_colored=when_colored)
        made = frames(8, (320, 240), gray=gray)
        still = [replace(made[0], pts=8 + index) for index in range(4)]
        dark = [replace(made[0], pts=12, luma=made[0].luma // 4)]
        for batch in (made[:5], made[5:], still, dark):
            expected, found = ordinary(batch), device([on_device(frame) for frame in batch])
            assert difference(expected, found).max() <= 1
            assert [frame.pts for frame in found] == [frame.pts for frame in batch]
        assert decides.counts == ordinary.counts
        assert ordinary.counts.kept == (13 if when_colored == "keep" and not gray else 0)

    def test_a_scene_in_color_passes_as_it_is(self, backend):
        _, device, decides = both(backend)
        made = [on_device(frame) for frame in frames(3, (320, 240), gray=False)]
        assert all(one is other for one, other in zip(device(made), made, strict=True))
        assert decides.counts.kept == 3

    def test_pictures_of_other_streams_and_sizes_and_in_memory_share_a_batch(self, backend):
        ordinary, device, _ = both(backend, every=1)
        deep = picture("deep", 7, (48, 64), ColorSpace(depth=10))
        mixed = [*frames(2), *frames(1, (64, 48), stream="b"), deep, *frames(1, stream="c")]
        given = [frame if frame is deep else on_device(frame) for frame in mixed]
        found = device(given)
        assert [(frame.stream, frame.pts) for frame in found] == [(frame.stream, frame.pts) for frame in mixed]
        assert found[3].luma is deep.luma
        here = [frame for frame in found if isinstance(frame, DeviceFrame)]
        assert len(here) == 4
        expected = ordinary(mixed)
        assert difference([frame for frame in expected if frame.space.depth == 8], here).max() <= 1
        assert all(np.array_equal(*pair) for pair in zip(expected[3].chroma, found[3].chroma, strict=True))

    def test_what_is_over_leaves_nothing_behind(self, backend):
        _, device, _ = both(backend, every=1)
        for index in range(5):
            device([on_device(replace(frame, pts=index)) for frame in frames()])
        assert len(device._made) == 1
        device.forget("film")
        assert len(device._made) == 0


class Surface:
    """A plane that the decoder fills when it is waited for, and writes anew as soon as it may."""

    def __init__(self, decoded):
        self._decoded = decoded
        self._memory = np.zeros_like(decoded)

    def __dlpack__(self):
        return self._memory.__dlpack__()

    def decode(self):
        self._memory[:] = self._decoded

    def reuse(self):
        self._memory[:] = 255


class Decoding(Processor):
    """A device whose decoder is never ready by itself."""

    def __init__(self, surfaces):
        super().__init__()
        self._surfaces = surfaces

    @contextmanager
    def ordered(self):
        for surface in self._surfaces:
            surface.decode()
        yield
        for surface in self._surfaces:
            surface.reuse()


class TestSurfaces:
    def test_are_read_after_the_decoder_and_let_go_before_it_writes_them_anew(self):
        made = frames()[0]
        planes = made.luma, np.stack(made.chroma, -1)
        surfaces = [Surface(plane) for plane in planes]
        copies = Decoding(surfaces).copied(surfaces)
        for copy, plane in zip(copies, planes, strict=True):
            assert np.array_equal(copy.numpy(), plane)

    def test_a_gpu_waits_for_the_decoders_stream_then_works_then_is_waited_for(self, monkeypatch):
        said = []

        class Stream:
            def __init__(self, device):
                assert device.type == "cuda"

            def wait_stream(self, other):
                said.append(f"wait for {other}")

            def synchronize(self):
                said.append("synchronize")

        @contextmanager
        def entered(_):
            said.append("enter")
            yield
            said.append("leave")

        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "stream", entered)
        monkeypatch.setattr(torch.cuda, "default_stream", lambda _: "the decoder's")
        gpu = Gpu()
        with gpu.work():
            said.append("read")
        assert said == ["wait for the decoder's", "enter", "read", "leave", "synchronize"]
        with gpu.work():
            pass
        assert len(gpu._streams) == 1
        other = in_thread(lambda: gpu.work().__enter__())
        other.join()
        assert len(gpu._streams) == 2

    def test_a_picture_for_nvenc_is_one_piece_of_memory_with_wide_rows(self):
        frame = on_device(frames(size=(66, 34))[0])
        luma, chroma = Processor().joined(frame)
        assert torch.equal(luma, frame.luma)
        assert torch.equal(chroma, frame.chroma)
        assert luma.stride() == (PITCH, 1)
        assert chroma.stride() == (PITCH, 2, 1)
        assert chroma.data_ptr() == luma.data_ptr() + 34 * PITCH

    def test_a_frame_checks_that_its_planes_fit(self):
        frame = on_device(frames()[0])
        with pytest.raises(ValueError, match=r"chroma \(31, 48, 2\) does not fit luma \(64, 96\)"):
            replace(frame, chroma=frame.chroma[1:])


@pytest.fixture
def nvdec(monkeypatch):
    """A decoder whose pictures are NV12 or P010; what is appended is made of each before it is handed out."""
    changes = []
    decode = AvSource._pictures

    def decoded(source, packet):
        for made in decode(source, packet):
            if surface := {"yuv420p": "nv12", "yuv420p10le": "p010le"}.get(made.format.name):
                made = as_downloaded(made, surface)  # noqa: PLW2901
            yield reduce(lambda picture, change: change(picture), changes, made)

    monkeypatch.setattr(AvSource, "_pictures", decoded)
    return changes


def read(path, **options):
    """Every frame of a clip, and the source, closed."""
    source = AvSource("film", str(path), **options)
    found = [item for item in source if isinstance(item, Frame)]
    source.close()
    return found, source


@pytest.mark.usefixtures("nvdec")
class TestSource:
    @pytest.mark.parametrize("codec", ["libx264", "ffv1"])
    def test_all_pictures_stay_to_the_last_with_the_planes_they_have_in_memory(self, codec, tmp_path, caplog):
        caplog.set_level("INFO")
        path = make_clip(tmp_path / "film.mkv", codec=codec, frames=9, gray=False, audio=1, options={"bf": "2"})
        expected, ordinary = read(path)
        found, source = read(path, device=Processor())
        assert source.info.on_device
        assert "film: pictures stay on the GPU" in caplog.text
        assert len(found) == 9
        assert (source.report(), source.info.space) == (ordinary.report(), ordinary.info.space)
        for one, other in zip(expected, found, strict=True):
            assert isinstance(other, DeviceFrame)
            assert (other.pts, other.space) == (one.pts, one.space)
            assert np.array_equal(other.luma.numpy(), one.luma)
        assert difference(expected, found).max() == 0

    @pytest.mark.parametrize(
        "case",
        [
            ({"pix_fmt": "yuv420p10le"}, {}, "the processor decodes them"),
            ({"pix_fmt": "yuv444p"}, {}, "the processor decodes them"),
            ({"size": (63, 48)}, {}, "63x48 is odd"),
            ({"size": (64, 47)}, {}, "64x47 is odd"),
            ({"codec": "libx264", "interlaced": True}, {}, "they are interlaced"),
            ({}, {"deinterlace": "on"}, "they are interlaced"),
        ],
    )
    def test_pictures_that_cannot_stay_come_back_and_it_is_said(self, case, tmp_path, caplog):
        clip, options, why = case
        caplog.set_level("INFO")
        path = make_clip(tmp_path / "film.mkv", frames=3, **clip)
        found, source = read(path, device=Processor(), **options)
        expected, _ = read(path, **options)
        assert f"film: pictures come back to memory: {why}" in caplog.text
        assert not source.info.on_device
        assert len(found) == len(expected) == 3
        for one, other in zip(expected, found, strict=True):
            assert type(other) is Frame
            assert np.array_equal(one.luma, other.luma)

    def test_ten_bits_on_the_gpu_come_back(self, tmp_path, caplog, monkeypatch):
        caplog.set_level("INFO")
        monkeypatch.setattr(Processor, "surface", "p010le")
        path = make_clip(tmp_path / "film.mkv", frames=3, pix_fmt="yuv420p10le")
        found, source = read(path, device=Processor())
        assert "film: pictures come back to memory: they are p010le, not nv12" in caplog.text
        assert [frame.space.depth for frame in found] == [10, 10, 10]
        assert not source.info.on_device

    @pytest.mark.parametrize("change", ["size", "range"])
    def test_one_that_is_not_like_the_first_comes_back_in_its_place(self, change, nvdec, tmp_path):
        def second(picture):
            if picture.pts != 40:
                return picture
            other = picture.reformat(width=32, height=24) if change == "size" else picture
            other.pts, other.color_range = picture.pts, 2 if change == "range" else picture.color_range
            return other

        nvdec.append(second)
        path = make_clip(tmp_path / "film.mkv", frames=3)
        found, source = read(path, device=Processor())
        assert [type(frame) for frame in found] == [DeviceFrame, Frame, DeviceFrame]
        assert [frame.pts for frame in found] == [0, 40, 80]
        assert {tuple(frame.luma.shape) for frame in found} == {(48, 64)}
        assert source.report().rescaled == 1

    def test_none_stays_from_the_first_interlaced_one_on(self, tmp_path, monkeypatch):
        """bwdif holds a picture back: those that follow must not overtake it."""
        wants = Deinterlacer.wants
        monkeypatch.setattr(Deinterlacer, "wants", lambda self, picture: picture.pts == 40 or wants(self, picture))
        path = make_clip(tmp_path / "film.mkv", frames=5)
        found, source = read(path, device=Processor())
        assert [type(frame) for frame in found] == [DeviceFrame, Frame, Frame, Frame, Frame]
        assert [frame.pts for frame in found] == [0, 40, 80, 120, 160]
        assert source.report().complete


@pytest.mark.usefixtures("nvdec")
class TestFilm:
    @pytest.fixture
    def film(self, tmp_path):
        return make_clip(tmp_path / "film.mkv", frames=7, vfr=True, audio=1, size=(320, 240))

    @pytest.fixture
    def gpu(self, monkeypatch):
        """As if this machine had one; the device that is used."""
        device = Processor()
        monkeypatch.setattr("streamcolor.wiring.why_no_cuda", lambda: "")
        monkeypatch.setattr("streamcolor.device.Gpu", lambda: device)
        fallback = HWAccel("cuda", allow_software_fallback=True)
        monkeypatch.setattr("streamcolor.wiring.decoder", lambda mode, _: None if mode == "off" else fallback)
        return device

    @pytest.mark.usefixtures("gpu")
    @pytest.mark.parametrize(("codec", "joined"), [("libx264", 7), ("ffv1", 0)])
    def test_is_the_same_as_the_ordinary_one(self, film, codec, joined, monkeypatch):
        """libx264 takes NV12, as NVENC takes surfaces; FFV1 takes planes only, so that they are downloaded."""
        read_there = []
        monkeypatch.setattr(Processor, "joined", lambda *given: read_there.append(1) or Gpu.joined(*given))
        reports, made = {}, {}
        for mode in ("off", "cuda"):
            out = film.with_stem(mode)
            reports[mode] = Job(
                Settings(str(film), str(out), model=str(MODEL), backend="torch", codec=codec, crf=0, hwaccel=mode)
            ).run()
            made[mode] = read_frames(out)
        assert len(read_there) == joined
        assert len(made["cuda"]) == 7
        assert replaced(reports["cuda"]) == replaced(reports["off"])
        for (time, planes), (same_time, same) in zip(made["off"], made["cuda"], strict=True):
            assert time == same_time
            assert np.array_equal(planes[0], same[0])
            apart = [np.abs(one.astype(int) - other).max() for one, other in zip(planes[1:], same[1:], strict=True)]
            assert max(apart) <= 1

    @pytest.mark.usefixtures("gpu")
    @pytest.mark.parametrize(
        ("settings", "why"),
        [
            ({"backend": "onnx"}, "onnx runs the network on the processor"),
            ({"lightness": "exact"}, "lightness exact is computed there"),
            ({"output": "out/"}, "they are files of their own"),
        ],
    )
    def test_goes_the_ordinary_way_where_it_must_and_says_so(self, settings, why, caplog):
        caplog.set_level("INFO")
        chosen = Settings(**{"input": "film.mkv", "output": "out.mkv", "backend": "torch", **settings})
        backend = SimpleNamespace(name=chosen.backend)
        assert open_device(chosen, backend) is None
        assert f"decoded pictures come back to memory: {why}" in caplog.text

    def test_stays_only_if_a_gpu_decodes_and_torch_can_use_it(self, gpu, monkeypatch):
        backend = SimpleNamespace(name="tensorrt")
        assert open_device(Settings("film.mkv", "out.mkv"), backend) is gpu
        assert open_device(Settings("film.mkv", "out.mkv", hwaccel="off"), backend) is None
        monkeypatch.setattr("streamcolor.wiring.why_no_cuda", lambda: "there is no NVIDIA driver")
        assert open_device(Settings("film.mkv", "out.mkv"), backend) is None

    @pytest.mark.parametrize("quiet", [False, True])
    def test_what_was_chosen_is_said_on_standard_error(self, quiet, capsys):
        with choices_said(quiet=quiet):
            for module in (wiring, surfaces):
                module.log.info("%s has chosen", module.__name__)
        said = "" if quiet else "streamcolor.wiring has chosen\nstreamcolor.sources.surfaces has chosen\n"
        assert capsys.readouterr().err == said

    def test_torch_is_not_imported_for_the_ordinary_way(self):
        code = "import sys, streamcolor.wiring, streamcolor.sinks.mux; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def replaced(report):
    """A report without what may differ: names and times."""
    return replace(report, output="", seconds=0.0, loading_seconds=0.0, stages={})


class TestEncoder:
    def test_nvenc_is_given_the_memory_that_torch_has(self):
        class Named(Processor):
            surface = "cuda"

            def options(self):
                return Gpu.options(self)

        surfaces = Surfaces(Named())
        assert surfaces.hwaccel.is_hw_owned
        assert surfaces.hwaccel.options == {"primary_ctx": "0", "current_ctx": "1"}

    def test_nvenc_takes_surfaces_and_x264_does_not(self):
        assert [takes(av.Codec(name, "w"), "cuda") for name in ("h264_nvenc", "hevc_nvenc", "av1_nvenc")] == [True] * 3
        assert not takes(av.Codec("libx264", "w"), "cuda")


@pytest.mark.gpu
@pytest.mark.timeout(600)  # an engine is built
class TestOnARealGpu:
    @pytest.fixture
    def film(self, tmp_path):
        return make_clip(tmp_path / "film.mp4", codec="libx264", size=(320, 240), frames=24, options={"bf": "2"})

    def test_surfaces_hold_what_the_processor_decodes(self, film):
        expected, _ = read(film)
        device = Gpu()
        found, source = read(film, hwaccel=decoder("cuda", device), device=device)
        assert source.info.on_device
        for one, other in zip(expected, found, strict=True):
            assert one.pts == other.pts
            assert np.array_equal(one.luma, other.downloaded().luma)
        assert difference(expected, found).max() == 0

    @pytest.mark.parametrize("backend", ["torch", "tensorrt"])
    def test_a_film_is_the_same_as_by_way_of_memory(self, film, backend, tmp_path, monkeypatch):
        monkeypatch.setenv("STREAMCOLOR_CACHE", str(tmp_path))
        made = {}
        for way in ("device", "memory"):
            out = tmp_path / f"{way}.mkv"
            if way == "memory":
                monkeypatch.setattr("streamcolor.wiring.open_device", lambda *_: None)
            Job(Settings(str(film), str(out), backend=backend, codec="ffv1", every=1, hwaccel="cuda")).run()
            made[way] = read_frames(out)
        for (time, planes), (same_time, same) in zip(made["memory"], made["device"], strict=True):
            assert time == same_time
            assert np.array_equal(planes[0], same[0])
            assert max(np.abs(one.astype(int) - other).mean() for one, other in zip(planes, same, strict=True)) < 0.5

    @pytest.mark.skipif(
        not why_no_gpu() and bool(why_not("h264_nvenc")), reason="a GPU without NVENC, as data-center Hopper"
    )
    def test_nvenc_encodes_what_stays(self, film, tmp_path):
        made = {}
        for codec in ("h264_nvenc", "ffv1"):
            out = tmp_path / f"{codec}.mkv"
            Job(Settings(str(film), str(out), backend="torch", codec=codec, crf=1, every=1, hwaccel="cuda")).run()
            made[codec] = read_frames(out)
        for (time, planes), (same_time, same) in zip(made["ffv1"], made["h264_nvenc"], strict=True):
            assert time == same_time
            assert max(np.abs(one.astype(int) - other).mean() for one, other in zip(planes, same, strict=True)) < 3
