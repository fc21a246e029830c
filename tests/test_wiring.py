"""The whole program on real clips, with a small network: what goes in comes out in color."""

import json

import cv2
import numpy as np
import pytest
from clips import cut, damage, make_clip, read_frames, read_packets
from networks import CARD, write_network

import streamcolor
from streamcolor import ConfigError, SinkError, SourceError, StreamcolorError, colorize
from streamcolor.settings import Settings
from streamcolor.sinks.mux import MuxSink
from streamcolor.wiring import Job

FRAMES = 12


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return str(write_network(tmp_path_factory.mktemp("network") / "toy.onnx", card=CARD))


@pytest.fixture
def film(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_clip(tmp_path / "film.mkv", frames=FRAMES, vfr=True, audio=2, subtitles=1)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in (1, 2, 10):
        cv2.imwrite(str(folder / f"scan {number}.png"), np.full((24, 32), 10 * number, np.uint8))
    return folder


def files(folder):
    """Everything in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def has_color(planes):
    """Whether chroma is anything but neutral."""
    return any((plane != 128).any() for plane in planes[1:])


class TestFilms:
    @pytest.mark.parametrize("backend", ["openvino", "onnx"])
    def test_a_film_comes_out_with_its_luma_times_and_sound_and_with_color(self, film, network, backend):
        pytest.importorskip({"onnx": "onnxruntime"}.get(backend, backend))
        target = film.with_name("out.mkv")
        report = colorize(film, target, model=network, backend=backend, codec="ffv1")
        before, after = read_frames(film), read_frames(target)
        assert [pts for pts, _ in after] == [pts for pts, _ in before]
        assert all((a[0] == b[0]).all() for (_, a), (_, b) in zip(before, after, strict=True))
        assert all(has_color(planes) for _, planes in after)
        assert read_packets(target, "audio") == read_packets(film, "audio")
        assert read_packets(target, "subtitles") == read_packets(film, "subtitles")
        assert report.frames == report.colored == FRAMES
        assert report.backend == backend

    def test_the_report_is_whole(self, film, network):
        report = colorize(film, film.with_name("out.mkv"), model=network)
        assert report.finished
        assert report.complete
        assert report.model == "toy"
        assert report.version == streamcolor.__version__
        assert report.input == str(film)
        assert report.warnings == ()
        assert {name: stage.frames for name, stage in report.stages.items()} == {
            "read": FRAMES,
            "color": FRAMES,
            "write": FRAMES,
        }
        assert 0 < report.seconds < 30
        assert json.loads(report.as_json())["frames"] == FRAMES

    def test_what_is_in_color_is_kept_or_replaced(self, tmp_path, network):
        film = make_clip(tmp_path / "film.mkv", frames=FRAMES, gray=False)
        kept = colorize(film, tmp_path / "kept.mkv", model=network, codec="ffv1")
        assert kept.kept == FRAMES
        replaced = colorize(film, tmp_path / "new.mkv", model=network, codec="ffv1", when_colored="replace")
        assert replaced.kept == 0
        before, same, new = (read_frames(tmp_path / name)[0][1][1] for name in ("film.mkv", "kept.mkv", "new.mkv"))
        assert (before == same).all()
        assert (before != new).any()

    def test_progress_is_told_in_the_calling_thread(self, film, network):
        seen = []
        colorize(film, film.with_name("out.mkv"), model=network, progress=seen.append)
        assert seen[-1].write.frames == FRAMES
        assert seen[-1].finished == 1

    @pytest.mark.parametrize("suffix", [".mp4", ".mov", ".ts", ".webm"])
    def test_every_container_is_chosen_by_the_name(self, film, network, suffix):
        target = film.with_name(f"out{suffix}")
        report = colorize(film, target, model=network)
        assert len(read_frames(target)) == report.frames == FRAMES
        assert files(film.parent) == ["film.mkv", f"out{suffix}"]

    def test_streams_that_do_not_fit_are_named(self, film, network):
        report = colorize(film, film.with_name("out.mp4"), model=network)
        assert any("subrip" in warning for warning in report.warnings)


class TestPictures:
    def test_a_picture_becomes_a_picture(self, pictures, network):
        target = pictures.parent / "color.png"
        assert colorize(pictures / "scan 1.png", target, model=network).frames == 1
        colored = cv2.imread(str(target))
        assert colored.shape == (24, 32, 3)
        assert (colored[..., 0] != colored[..., 2]).any()

    def test_files_may_be_named_as_ffmpeg_does(self, pictures, network):
        colorize(f"file:{pictures / 'scan 1.png'}", f"file:{pictures.parent / 'color.png'}", model=network)
        assert files(pictures.parent) == ["color.png", "pictures"]

    def test_a_folder_becomes_a_folder_of_the_same_names(self, pictures, network):
        target = f"{pictures.parent}/color/"
        assert colorize(pictures, target, model=network).frames == 3
        assert files(pictures.parent / "color") == files(pictures)

    def test_a_folder_becomes_a_film_in_the_order_of_counting(self, pictures, network):
        target = pictures.parent / "film.mkv"
        colorize(pictures, target, model=network, codec="ffv1")
        assert [int(planes[0][0, 0]) for _, planes in read_frames(target)] == [10, 20, 100]

    def test_a_film_becomes_a_folder(self, film, network):
        colorize(film, f"{film.parent}/frames/", model=network)
        assert len(files(film.parent / "frames")) == FRAMES


class TestBadInput:
    def test_a_film_cut_short_is_colored_as_far_as_it_goes(self, tmp_path, network):
        film = cut(make_clip(tmp_path / "film.mkv", frames=60), 0.5)
        report = colorize(film, tmp_path / "out.mkv", model=network)
        assert not report.complete
        assert report.finished
        assert report.warnings
        assert 0 < len(read_frames(tmp_path / "out.mkv")) == report.frames < 60

    def test_a_film_damaged_in_the_middle_is_colored_around_it(self, tmp_path, network):
        film = damage(make_clip(tmp_path / "film.mkv", frames=60))
        report = colorize(film, tmp_path / "out.mkv", model=network)
        assert not report.complete
        assert 0 < report.frames < 60

    @pytest.mark.parametrize(
        ("changes", "error", "message"),
        [
            ({"model": "huge"}, ConfigError, "no model 'huge': choose .*or the path of an .onnx file"),
            ({"backend": "cuda"}, ConfigError, "choose auto, openvino, onnx, torch"),
            ({"codec": "libx26"}, SinkError, "unknown video codec libx26 .did you mean libx26"),
            ({"output": "out.xyz"}, SinkError, "unknown suffix .xyz"),
            ({"output": "out.png"}, ConfigError, "is one picture"),
            ({"output": "none/out.mkv"}, SinkError, "not a folder"),
            ({"output": "there.mkv"}, SinkError, "it exists"),
            ({"input": "none.mkv"}, SourceError, "no such file"),
            ({"input": "text.mkv"}, SourceError, "not a video"),
        ],
    )
    def test_each_mistake_has_its_message_and_leaves_nothing(self, film, network, changes, error, message):
        there = film.with_name("there.mkv")
        there.write_bytes(b"precious")
        film.with_name("text.mkv").write_text("not a film\n" * 50)
        before = files(film.parent)
        with pytest.raises(error, match=message) as caught:
            colorize(**{"input": "film.mkv", "output": "out.mkv", "model": network} | changes)
        assert "\n" not in str(caught.value)
        assert files(film.parent) == before
        assert there.read_bytes() == b"precious"

    def test_overwriting_is_a_wish(self, film, network):
        target = film.with_name("out.mkv")
        target.write_bytes(b"old")
        colorize(film, target, model=network, overwrite=True)
        assert len(read_frames(target)) == FRAMES

    def test_the_input_is_never_overwritten(self, film, network):
        before = film.read_bytes()
        with pytest.raises(ConfigError, match="name another output"):
            colorize(film, film, model=network, overwrite=True)
        assert film.read_bytes() == before

    @pytest.mark.parametrize("content", [b"", b"no network"])
    def test_a_damaged_network_is_named_before_anything_is_written(self, film, content):
        broken = film.with_name("broken.onnx")
        broken.write_bytes(content)
        with pytest.raises(StreamcolorError, match=r"broken\.onnx"):
            colorize(film, film.with_name("out.mkv"), model=broken)
        assert files(film.parent) == ["broken.onnx", "film.mkv"]

    def test_a_password_is_in_no_message(self, network, tmp_path):
        with pytest.raises(SourceError) as caught:
            colorize("rtsp://guard:s3cret@127.0.0.1:9/gate?token=t0ken", tmp_path / "out.mkv", model=network)
        assert "s3cret" not in str(caught.value)
        assert "t0ken" not in str(caught.value)
        assert "127.0.0.1" in str(caught.value)


class TestStop:
    def test_a_stop_while_the_network_loads_counts(self, film, network):
        job = Job(Settings(str(film), str(film.with_name("out.mkv")), model=network))
        job.stop()
        assert not job.run().finished
        assert files(film.parent) == ["film.mkv"]

    def test_a_stop_in_the_middle_leaves_nothing(self, film, network, stuck):
        job = Job(Settings(str(film), str(film.with_name("out.mkv")), model=network))
        stuck(job)
        assert not job.run(lambda _: job.stop()).finished
        assert files(film.parent) == ["film.mkv"]

    def test_an_exception_of_the_caller_leaves_nothing(self, film, network, stuck):
        job = Job(Settings(str(film), str(film.with_name("out.mkv")), model=network))
        stuck(job)

        def watch(_):
            assert len(files(film.parent)) == 2, "the partial file is there"
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            job.run(watch)
        assert files(film.parent) == ["film.mkv"]

    @pytest.fixture
    def stuck(self, monkeypatch):
        """Make the sink wait at its first frame until the run is being stopped."""

        def stick(job):
            write = MuxSink.write

            def wait_and_write(sink, item):
                next(iter(job._engine._runs.values())).halted.wait()
                write(sink, item)

            monkeypatch.setattr(MuxSink, "write", wait_and_write)

        return stick
