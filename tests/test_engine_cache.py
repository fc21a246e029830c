"""Engines are built once and found again as long as nothing that matters has changed."""

import logging
from dataclasses import replace

import pytest
from networks import write_network

from streamcolor.backends import engine_cache, engines
from streamcolor.backends.engine_cache import Recipe, cached
from streamcolor.backends.engines import Profile
from streamcolor.errors import BackendError

LIGHT = Profile((1, 1, 64, 64), (2, 1, 64, 64), (4, 1, 64, 64))
RECIPE = Recipe("toy-fp32-64x64", b"a network", {"light": LIGHT}, "fp32", "GeForce", "8.6", "tensorrt_rtx", ("8.6",))


@pytest.fixture
def builds(monkeypatch):
    """A builder that is quick; the list of what it was asked for."""
    asked = []

    def build(onnx, profiles, *, targets, flavor, watch):
        asked.append((onnx, dict(profiles), targets, flavor))
        if watch:
            watch(1.0)
        return b"plan of " + onnx

    monkeypatch.setattr(engine_cache, "build", build)
    return asked


def test_an_engine_is_built_once_and_then_found(builds, tmp_path):
    assert cached(RECIPE, bytes.upper, folder=tmp_path) == b"PLAN OF A NETWORK"
    assert cached(RECIPE, bytes.upper, folder=tmp_path) == b"PLAN OF A NETWORK"
    assert builds == [(b"a network", {"light": LIGHT}, ("8.6",), "tensorrt_rtx")]
    (kept,) = tmp_path.iterdir()
    assert kept.name == f"toy-fp32-64x64-{RECIPE.key()}.engine"


def test_a_real_engine_survives_the_cache(tmp_path):
    onnx = write_network(tmp_path / "toy.onnx").read_bytes()
    recipe = replace(RECIPE, onnx=onnx)
    seen = []
    first = cached(recipe, bytes, folder=tmp_path / "new" / "folder", watch=seen.append)
    assert seen[-1] == 1
    count = len(seen)
    assert cached(recipe, bytes, folder=tmp_path / "new" / "folder", watch=seen.append) == first
    assert len(seen) == count
    assert len(first) > 1000


@pytest.mark.parametrize(
    "change",
    [
        {"onnx": b"another"},
        {"profiles": {"light": replace(LIGHT, max=(8, 1, 64, 64))}},
        {"profiles": {"dark": LIGHT}},
        {"precision": "fp16"},
        {"gpu": "H200"},
        {"capability": "8.9"},
        {"targets": ("8.6", "8.9")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_makes_an_engine_invalid_builds_another(change, builds, tmp_path):
    cached(RECIPE, bytes, folder=tmp_path)
    cached(replace(RECIPE, **change), bytes, folder=tmp_path)
    assert len(builds) == 2
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("what", ["version", "module", "system", "processor"])
def test_another_tensorrt_or_system_builds_another(what, monkeypatch):
    before = RECIPE.key()
    trt = type("TensorRT", (), {"__version__": engines.load_tensorrt("tensorrt_rtx").__version__})
    trt.__name__ = "tensorrt" if what == "module" else "tensorrt_rtx"
    if what == "version":
        trt.__version__ = "99"
    monkeypatch.setattr(engine_cache, "load_tensorrt", lambda _flavor: trt)
    assert (RECIPE.key() == before) == (what in ("system", "processor"))
    if what == "system":
        monkeypatch.setattr(engine_cache.platform, "system", lambda: "Plan9")
    if what == "processor":
        monkeypatch.setattr(engine_cache.platform, "machine", lambda: "sparc")
    assert RECIPE.key() != before


def test_the_name_for_people_does_not_make_another_engine():
    assert replace(RECIPE, name="other").key() == RECIPE.key()


class TestAPlanThatTensorRTRefuses:
    def test_it_is_built_again_once(self, builds, tmp_path, caplog):
        cached(RECIPE, bytes, folder=tmp_path)
        answers = [BackendError("made by another driver"), "the engine"]

        def load(_plan):
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        assert cached(RECIPE, load, folder=tmp_path) == "the engine"
        assert len(builds) == 2
        assert "made by another driver: it is made again" in caplog.text

    def test_if_the_new_one_is_refused_too_the_error_is_the_callers(self, builds, tmp_path):
        def load(_plan):
            raise BackendError("no memory")

        with pytest.raises(BackendError, match="no memory"):
            cached(RECIPE, load, folder=tmp_path)
        with pytest.raises(BackendError, match="no memory"):
            cached(RECIPE, load, folder=tmp_path)
        assert len(builds) == 2  # one each time


@pytest.mark.usefixtures("builds")
def test_a_build_is_announced_and_timed(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "streamcolor"):
        cached(RECIPE, bytes, folder=tmp_path)
    begun, done = caplog.messages
    assert begun == "building a TensorRT engine for toy-fp32-64x64 on GeForce; it is kept, so this happens once"
    assert done.startswith("built the engine for toy-fp32-64x64 in 0.")


def test_a_failed_build_leaves_nothing(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise BackendError("too large")

    monkeypatch.setattr(engine_cache, "build", fail)
    with pytest.raises(BackendError, match="too large"):
        cached(RECIPE, bytes, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
