"""TensorRT engines are built without a GPU: the real parser and the real builder of tensorrt_rtx, no fake."""

import json
import logging
import subprocess
import sys

import pytest
from networks import write_network

from streamcolor.backends import engines, known_models
from streamcolor.backends.engines import Profile, build, load_tensorrt
from streamcolor.backends.fused import Fusion, graph_of
from streamcolor.errors import BackendError, ConfigError

LIGHT = Profile((1, 1, 64, 128), (4, 1, 64, 128), (8, 1, 64, 128))


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("toy") / "toy.onnx").read_bytes()


def in_another_process(code, onnx):
    """TensorRT may print, or crash, when what it is given is bad."""
    script = (
        "import json, sys\n"
        "from streamcolor.backends.engines import Profile, build\n"
        "from streamcolor.errors import StreamcolorError\n"
        "onnx = sys.stdin.buffer.read()\n"
        f"try:\n    {code}\n"
        "except StreamcolorError as error:\n    print(json.dumps([type(error).__name__, str(error)]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], input=onnx, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("target", ["8.6", "8.9"])
def test_the_shipped_network_becomes_an_engine_for_a_gpu_that_is_not_here(target):
    onnx = known_models()["tiny-fp32"].read_bytes()
    plan = build(onnx, {"light": Profile((1, 1, 128, 256), (16, 1, 128, 256), (64, 1, 128, 256))}, targets=[target])
    assert len(plan) > 10_000_000


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def whole_way(request):
    """The graph from Y' to Cb and Cr; exporting it takes seconds."""
    return graph_of(known_models()["tiny-fp32"], Fusion(64, 48, precision=request.param))


@pytest.mark.parametrize("target", ["8.6", "8.9"])
def test_the_whole_way_of_a_picture_becomes_an_engine_for_batches(whole_way, target):
    plan = build(whole_way, {"luma": Profile((1, 1, 48, 64), (4, 1, 48, 64), (8, 1, 48, 64))}, targets=[target])
    assert len(plan) > len(whole_way) * 0.9


def test_one_engine_may_serve_several_gpus_and_any_gpu(toy):
    assert build(toy, {"light": LIGHT}, targets=["8.6", "8.9"])
    assert build(toy, {"light": LIGHT})


def test_a_build_tells_how_far_it_is(toy):
    seen = []
    build(toy, {"light": LIGHT}, targets=["8.9"], watch=seen.append)
    assert seen == sorted(seen)
    assert len(seen) > 10
    assert 0 < seen[0] < 0.5
    assert seen[-1] == 1


def test_a_build_can_be_given_up(toy):
    code = 'build(onnx, {"light": Profile((1, 1, 64, 128), (4, 1, 64, 128), (8, 1, 64, 128))}, watch=lambda _: False)'
    assert in_another_process(code, toy)[0] == "BackendError"


@pytest.mark.parametrize(
    "junk", [b"hello world", b"\x00" * 4096, bytes(range(1, 255)) * 20], ids=["text", "0", "bytes"]
)
def test_junk_is_refused_in_one_line_with_the_reason(junk):
    kind, message = in_another_process("build(onnx, {})", junk)
    assert kind == "BackendError"
    assert message.startswith("TensorRT cannot")
    assert "\n" not in message
    assert len(message) < 500


def test_a_truncated_network_is_refused(toy):
    kind, message = in_another_process("build(onnx, {})", toy[:-50])
    assert (kind, message[:31]) == ("BackendError", "TensorRT cannot read the networ")


def test_a_missing_profile_is_named_by_tensorrt(toy):
    kind, message = in_another_process("build(onnx, {})", toy)
    assert kind == "BackendError"
    assert "no optimization profile has been defined" in message


def test_a_profile_of_another_input_does_not_help(toy):
    kind, message = in_another_process("build(onnx, {'dark': Profile(*[(1, 1, 64, 64)] * 3)})", toy)
    assert kind == "BackendError"
    assert "profile" in message


def test_a_size_that_the_network_cannot_take_is_refused():
    onnx = known_models()["tiny-fp32"].read_bytes()
    kind, message = in_another_process("build(onnx, {'light': Profile(*[(1, 1, 66, 64)] * 3)})", onnx)
    assert kind == "BackendError"
    assert "shape" in message


@pytest.mark.parametrize("shapes", [((2, 1), (1, 1), (4, 1)), ((1, 1), (8, 1), (4, 1)), ((0, 1), (1, 1), (1, 1))])
def test_a_profile_goes_from_small_to_large(shapes):
    with pytest.raises(ValueError, match="from small to large"):
        Profile(*shapes)


def test_an_unknown_target_comes_with_the_known_ones(toy):
    with pytest.raises(ConfigError, match=r"no compute capability '5\.0': choose 7\.5, 8\.0, 8\.6, 8\.9"):
        build(toy, {"light": LIGHT}, targets=["5.0"])


class TestFlavors:
    def test_the_one_that_is_installed_is_found(self):
        assert load_tensorrt("tensorrt_rtx").__name__ == "tensorrt_rtx"
        assert load_tensorrt().__name__ in ("tensorrt", "tensorrt_rtx")

    def test_an_unknown_one_comes_with_the_known_ones(self):
        with pytest.raises(
            ConfigError, match="no flavor 'tensorflow' of TensorRT: choose auto, tensorrt, tensorrt_rtx"
        ):
            load_tensorrt("tensorflow")

    def test_without_any_the_message_says_what_to_install(self, monkeypatch):
        def missing(name):
            raise ImportError(f"No module named {name!r}")

        monkeypatch.setattr(engines, "import_module", missing)
        with pytest.raises(ConfigError) as caught:
            build(b"", {})
        assert "pip install 'streamcolor[tensorrt]'" in str(caught.value)
        assert "pip install 'streamcolor[rtx]'" in str(caught.value)

    def test_a_library_that_cannot_be_loaded_is_no_crash(self, monkeypatch):
        def broken(_name):
            raise OSError("libnvinfer.so.11: cannot open shared object file")

        monkeypatch.setattr(engines, "import_module", broken)
        with pytest.raises(ConfigError, match=r"libnvinfer\.so\.11: cannot open"):
            load_tensorrt("tensorrt")


class FakeTensorRT:
    """The full TensorRT as far as a build gets without a GPU: its version 10 and 11 differ in one flag."""

    __name__ = "tensorrt"

    class ILogger:
        pass

    class NetworkDefinitionCreationFlag:
        pass

    def __init__(self, said=()):
        self._said = said

    def Builder(self, logger):  # noqa: N802  # the name is TensorRT's
        for severity, message in self._said:
            logger.log(severity, message)
        raise TypeError("factory function returned nullptr")


def test_full_tensorrt_without_a_gpu_says_so():
    fake = FakeTensorRT([(2, "a warning"), (1, "CUDA initialization failure with error: 35"), (0, "so it goes")])
    with pytest.raises(BackendError) as caught:
        engines._builder(fake, engines.Complaints(fake))
    message = str(caught.value)
    assert (
        message == "tensorrt finds no GPU that it can build for: CUDA initialization failure with error: 35; so it goes"
    )


def test_full_tensorrt_takes_no_targets():
    with pytest.raises(ConfigError, match="for the GPU of this machine only"):
        engines._aim(FakeTensorRT(), None, ["8.9"])


def test_networks_are_strongly_typed_in_every_version():
    fake = FakeTensorRT()
    assert engines._strongly_typed(fake) == 0
    fake.NetworkDefinitionCreationFlag = type("Flag", (), {"STRONGLY_TYPED": 1})
    assert engines._strongly_typed(fake) == 2


def test_warnings_are_for_people_and_what_is_raised_is_for_the_debugger(caplog):
    complaints = engines.Complaints(FakeTensorRT())
    with caplog.at_level(logging.DEBUG, "streamcolor"):
        for severity, message in enumerate(["it broke", "it failed", "it is slow", "it began", "it looked"]):
            complaints.logger.log(severity, message)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO] == [
        "tensorrt: it is slow"
    ]
    assert str(complaints.error("no")) == "no: it broke; it failed"


def test_an_error_is_told_once():
    fake = FakeTensorRT()
    complaints = engines.Complaints(fake)
    complaints.logger.log(1, "the first\n  reason")
    assert str(complaints.error("it failed")) == "it failed: the first reason"
    assert str(complaints.error("again")) == "again: it does not say why"
