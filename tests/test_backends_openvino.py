"""What OpenVINO has compiled is kept, found again, and gives the very same colors."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from networks import expected, write_network

from streamcolor.backends import known_models, open_backend
from streamcolor.backends.openvino_backend import OpenVinoBackend
from streamcolor.errors import BackendError

LIGHT = np.random.default_rng(0).uniform(0, 100, (2, 1, 64, 128)).astype(np.float32)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("STREAMCOLOR_CACHE", str(tmp_path))
    return tmp_path / "openvino"


@pytest.fixture
def parsed(monkeypatch):
    """The files that were parsed."""
    paths = []
    parse = OpenVinoBackend._parsed
    monkeypatch.setattr(OpenVinoBackend, "_parsed", lambda self: (paths.append(self._path), parse(self))[1])
    return paths


def colors(model="tiny", *, vividness=0.5, threads=1):
    backend = open_backend("openvino", model, threads=threads)
    return backend.network, backend.predict(LIGHT, vividness=vividness)


@pytest.mark.parametrize("model", ["tiny", "tiny-fp32"])
def test_the_second_time_nothing_is_parsed_and_the_colors_are_the_same(cache, parsed, model):
    network, first = colors(model)
    assert parsed == [known_models()[model]] * 2  # once for what it is, once to compile it
    again, second = colors(model)
    assert len(parsed) == 2
    assert again == network
    assert np.array_equal(first.ab_N2hw, second.ab_N2hw)
    assert np.array_equal(first.confidence_N1hw, second.confidence_N1hw)
    assert {path.suffix for path in cache.iterdir()} == {".about", ".compiled"}


@pytest.mark.parametrize("change", [{"vividness": 0.25}, {"threads": 2}])
def test_whatever_is_compiled_into_it_makes_another(cache, change):
    colors()
    colors(**change)
    assert len(list(cache.glob("*.compiled"))) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("openvino.__version__", "1999"), ("cv2.getCPUFeaturesLine", lambda: "ABACUS")],
    ids=["version", "processor"],
)
def test_so_does_another_runtime_or_processor(cache, monkeypatch, name, value):
    colors()
    monkeypatch.setattr(f"streamcolor.backends.openvino_backend.{name}", value)
    colors()
    assert len(list(cache.glob("*.compiled"))) == 2


def test_another_network_under_the_same_name_is_another_network(cache, tmp_path):
    path = tmp_path / "mine.onnx"
    one, other = (colors(write_network(path, seed=seed), vividness=1)[1].ab_N2hw for seed in (1, 2))
    assert np.abs(one - other).max() > 1
    assert len(list(cache.iterdir())) == 4


@pytest.mark.usefixtures("cache")
def test_a_file_that_is_replaced_while_it_is_in_use_changes_nothing(tmp_path):
    path = write_network(tmp_path / "mine.onnx", seed=1)
    backend = open_backend("openvino", path, threads=1)
    write_network(path, seed=2)
    used = backend.predict(LIGHT, vividness=1).ab_N2hw
    assert np.abs(used - expected(LIGHT, 1, seed=1)).max() < 1e-3
    assert np.abs(colors(path, vividness=1)[1].ab_N2hw - expected(LIGHT, 1, seed=2)).max() < 1e-3


def test_what_openvino_cannot_read_any_more_is_compiled_again(cache, caplog):
    _, before = colors()
    place = next(cache.glob("*.compiled"))
    place.write_bytes(hashlib.sha256(b"junk").digest() + b"junk")
    _, after = colors()
    assert np.array_equal(before.ab_N2hw, after.ab_N2hw)
    assert "OpenVINO cannot read what it compiled" in caplog.text
    assert place.stat().st_size > 1_000_000


def test_a_file_that_holds_no_such_network_is_refused_each_time(cache, tmp_path):
    path = write_network(tmp_path / "wrong.onnx", reduction=8)
    for _ in range(2):
        with pytest.raises(BackendError, match=r"ab is \(1, 2, 4, 4\) for light"):
            open_backend("openvino", path)
    assert not list(cache.glob("*"))


def test_the_program_leaves_openvinos_converter_and_its_telemetry_alone():
    code = """
import sys
from streamcolor.__main__ import main
sys.argv = ["streamcolor", "models"]
try:
    main()
except SystemExit:
    pass
import openvino
print([name for name in sys.modules if "telemetry" in name], openvino.Core)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.endswith("[] <class 'openvino._ov_api.Core'>\n")


def test_a_program_that_uses_us_may_still_convert():
    code = "import streamcolor.backends.openvino_backend, openvino; print(openvino.convert_model)"
    assert (
        "function convert_model"
        in subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
        ).stdout
    )
