"""What is exported colors as the processor does, and nothing is written before that is known."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from typer.testing import CliRunner

from streamcolor import export as exporting
from streamcolor.backends import engines, known_models, single_precision
from streamcolor.backends.fused import Fusion, fuse, graph_of, network_of
from streamcolor.cli import app
from streamcolor.errors import BackendError, ConfigError, SinkError
from streamcolor.export import compared, export, scenes
from streamcolor.frames import ColorSpace, Matrix
from streamcolor.progress import steps

MODEL = known_models()["tiny-fp32"]
ODD = Fusion(131, 97, ColorSpace(Matrix.BT601, full_range=True))
INT8 = Fusion(111, 90, precision="int8", layout="nv12")
STEPS = ["exporting the graph", "comparing it with the processor", "writing it"]
NV12 = Fusion(256, 128, precision="fp32", layout="nv12")


@pytest.fixture(scope="module", params=[ODD, NV12], ids=str)
def fusion(request):
    return request.param


@pytest.fixture(scope="module")
def made(fusion, tmp_path_factory):
    seen = []
    path = tmp_path_factory.mktemp("made") / "graph.onnx"
    done = export("tiny", fusion, output=path, watch=lambda *told: seen.append(told))
    assert [what for what, _ in seen] == STEPS
    return done


@pytest.fixture(scope="module")
def rounded(tmp_path_factory):
    return export("tiny", INT8, output=tmp_path_factory.mktemp("int8") / "graph.onnx")


def run(path, luma_NHW, *, vividness=0.5, saturation=1.0):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    wishes = {"vividness": np.array([vividness], np.float32), "saturation": np.array([saturation], np.float32)}
    return session.run(None, {"luma": luma_NHW[:, None], **wishes})[0]


def constant(code, fusion):
    """A graph with the right names that gives every place the same chroma."""
    shape = [-(-fusion.height // 2), -(-fusion.width // 2)]
    planes = helper.make_tensor("planes", TensorProto.INT64, [3], [2, *shape])
    color = helper.make_tensor("value", TensorProto.UINT8, [1], [code])
    nodes = [
        helper.make_node("Shape", ["luma"], ["count"], start=0, end=1),
        helper.make_node("Concat", ["count", "planes"], ["shape"], axis=0),
        helper.make_node("ConstantOfShape", ["shape"], ["chroma"], value=color),
    ]
    luma = helper.make_tensor_value_info("luma", TensorProto.UINT8, ["N", 1, fusion.height, fusion.width])
    settings = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("vividness", "saturation")]
    chroma = helper.make_tensor_value_info("chroma", TensorProto.UINT8, ["N", 2, *shape])
    graph = helper.make_graph(nodes, "constant", [luma, *settings], [chroma], [planes])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestAGraph:
    def test_it_is_within_half_a_code_of_the_processor(self, made):
        assert 0 < max(made.deviation) <= 0.5
        assert made.bytes == made.path.stat().st_size

    def test_one_file_takes_one_picture_and_three_and_does_what_torch_does(self, made, fusion):
        module = fuse(MODEL, fusion)
        for count in (1, 3):
            luma = scenes(count, fusion.height, fusion.width, fusion.space)
            with torch.inference_mode():
                expected = module(torch.from_numpy(luma)[:, None], torch.tensor([0.8]), torch.tensor([1.5])).numpy()
            found = run(made.path, luma, vividness=0.8, saturation=1.5)
            assert found.shape == expected.shape
            assert found.dtype == expected.dtype == np.uint8
            assert np.abs(found.astype(int) - expected).mean() < (0.05 if fusion.precision == "fp16" else 0.01)

    def test_its_first_and_last_steps_are_what_tensorrt_asks_for(self, made):
        graph = onnx.load(made.path).graph
        readers = [node.op_type for node in graph.node if "luma" in node.input]
        makers = [node.op_type for node in graph.node if "chroma" in node.output]
        assert (readers, makers) == (["Cast"], ["Cast"])
        resized = [attribute for node in graph.node if node.op_type == "Resize" for attribute in node.attribute]
        assert {attribute.i for attribute in resized if attribute.name == "antialias"} == {0}

    def test_it_says_what_it_is_and_nothing_of_the_machine_that_made_it(self, made, fusion):
        model = onnx.load(made.path)
        card = {entry.key: entry.value for entry in model.metadata_props}
        assert card["size"] == f"{fusion.height}x{fusion.width}"
        assert (card["precision"], card["layout"]) == (fusion.precision, fusion.layout)
        assert (card["matrix"], card["range"]) == (("bt601", "full") if fusion is ODD else ("bt709", "limited"))
        assert card["license"] == "Apache-2.0"
        assert b"site-packages" not in made.path.read_bytes()

    def test_the_weights_have_the_precision_that_was_asked_for(self, made, fusion):
        kinds = {tensor.data_type for tensor in onnx.load(made.path).graph.initializer if len(tensor.dims) == 4}
        half = TensorProto.FLOAT16 in kinds
        assert half == (fusion.precision == "fp16")

    def test_tensorrt_builds_it_for_the_batches_that_were_asked_for(self, made, fusion, tmp_path, monkeypatch):
        pytest.importorskip("tensorrt_rtx")
        monkeypatch.setattr(exporting, "graph_of", lambda *_: made.path.read_bytes())
        seen = []
        plan = tmp_path / "graph.plan"
        done = export("tiny", fusion, to="tensorrt", batch=(1, 2, 4), output=plan, watch=lambda *t: seen.append(t))
        assert done.path.stat().st_size == done.bytes > 10_000_000
        assert [part for what, part in seen if what == "building the engine"][-1] == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestIntegers:
    def test_it_colors_as_the_processor_does_in_int8(self, rounded):
        assert 0 < max(rounded.deviation) <= 1.0
        assert rounded.bytes < 7e6

    def test_one_file_takes_one_picture_and_three(self, rounded):
        luma = scenes(3, INT8.height, INT8.width, INT8.space)
        together, alone = run(rounded.path, luma), run(rounded.path, luma[1:2])
        assert together.shape == (3, -(-INT8.height // 2), -(-INT8.width // 2), 2)
        assert np.abs(together[1:2].astype(int) - alone).max() <= 1
        assert (run(rounded.path, luma, saturation=0.0) == 128).all()

    def test_its_first_and_last_steps_are_what_tensorrt_asks_for(self, rounded):
        graph = onnx.load(rounded.path).graph
        assert [node.op_type for node in graph.node if "luma" in node.input] == ["Cast"]
        assert [node.op_type for node in graph.node if "chroma" in node.output] == ["Cast"]
        assert [each.name for each in graph.input] == ["luma", "vividness", "saturation"]
        assert [each.name for each in graph.output] == ["chroma"]

    def test_it_says_what_it_is(self, rounded):
        card = {entry.key: entry.value for entry in onnx.load(rounded.path).metadata_props}
        assert (card["precision"], card["layout"], card["name"]) == ("int8", "nv12", "tiny")
        assert b"site-packages" not in rounded.path.read_bytes()

    def test_tensorrt_builds_it(self, rounded, tmp_path, monkeypatch):
        pytest.importorskip("tensorrt_rtx")
        monkeypatch.setattr(exporting, "graph_of", lambda *_: rounded.path.read_bytes())
        assert export("tiny", INT8, to="tensorrt", batch=(1, 1, 2), output=tmp_path / "graph.plan").bytes > 5_000_000

    def test_a_file_of_an_older_opset_is_joined_too(self, tmp_path):
        old = onnx.load(known_models()["tiny"])
        old.ir_version, old.opset_import[0].version = 9, 19
        onnx.save(old, tmp_path / "old.onnx")
        graph = onnx.load_from_string(graph_of(tmp_path / "old.onnx", INT8))
        assert (graph.ir_version, graph.opset_import[0].version) == (9, 19)
        assert max(compared(graph.SerializeToString(), known_models()["tiny"], INT8)) <= 1.0

    def test_it_needs_a_calibrated_network_and_is_nothing_for_torch(self, tmp_path):
        with pytest.raises(ConfigError, match=r"tiny-fp32\.onnx is not calibrated for int8: export it in fp16"):
            export("tiny-fp32", INT8, output=tmp_path / "a.onnx")
        with pytest.raises(ConfigError, match="int8 is for an exported graph"):
            fuse(MODEL, INT8)


class TestBeforeAnythingIsWritten:
    def test_a_graph_that_colors_otherwise_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(exporting, "graph_of", lambda _, fusion: constant(90, fusion))
        with pytest.raises(BackendError, match=r"in fp16 its Cb and Cr differ .* by \d+\.\d\d and \d+\.\d\d codes"):
            export("tiny", ODD, output=tmp_path / "bad.onnx")
        assert list(tmp_path.iterdir()) == []

    def test_the_comparison_counts_codes(self):
        luma = scenes(1, 64, 64, ColorSpace())
        assert luma.std() > 30, "else the pictures would have no structure to color"
        with pytest.raises(BackendError) as gray:
            compared(constant(128, ODD), MODEL, ODD)
        with pytest.raises(BackendError) as blue:
            compared(constant(168, ODD), MODEL, ODD)
        far, farther = (float(str(caught.value).split(" by ")[1].split()[0]) for caught in (gray, blue))
        assert far + 30 < farther <= far + 40

    def test_what_exists_is_kept_and_nothing_is_computed(self, tmp_path, monkeypatch):
        monkeypatch.setattr(exporting, "graph_of", lambda *_: pytest.fail("not before the name is known to be free"))
        kept = tmp_path / "mine.onnx"
        kept.write_text("mine")
        with pytest.raises(SinkError, match="it exists"):
            export("tiny", ODD, output=kept)
        with pytest.raises(SinkError, match="is not a folder"):
            export("tiny", ODD, output=tmp_path / "nowhere" / "a.onnx")
        assert kept.read_text() == "mine"

    def test_an_interrupted_export_leaves_nothing(self, tmp_path, monkeypatch):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(exporting, "graph_of", interrupted)
        with pytest.raises(KeyboardInterrupt):
            export("tiny", ODD, output=tmp_path / "a.onnx")
        assert list(tmp_path.iterdir()) == []

    def test_the_name_says_what_is_in_it(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(exporting, "graph_of", lambda _, fusion: constant(128, fusion))
        monkeypatch.setattr(exporting, "compared", lambda *_: (0.1, 0.2))
        names = {export("tiny", fusion).path.name for fusion in (ODD, NV12)}
        assert names == {"tiny-97x131-bt601-full-fp16.onnx", "tiny-128x256-bt709-limited-fp32-nv12.onnx"}
        assert {path.name for path in tmp_path.iterdir()} == names

    def test_a_rounded_network_gives_way_to_its_twin_in_single_precision(self, tmp_path):
        assert single_precision(network_of(known_models()["tiny"])) == MODEL
        assert single_precision(network_of(MODEL)) == MODEL
        alone = tmp_path / "mine.onnx"
        alone.write_bytes(known_models()["tiny"].read_bytes())
        with pytest.raises(ConfigError, match=r"mine-fp32\.onnx is not beside it"):
            single_precision(network_of(alone))

    @pytest.mark.parametrize("batch", [(1, 2), (0, 1, 2), (1, 8, 4)], ids=str)
    def test_batches_go_from_few_to_many(self, batch, tmp_path):
        with pytest.raises(ConfigError, match="give the fewest, the usual and the most"):
            export("tiny", ODD, to="tensorrt", batch=batch, output=tmp_path / "a.plan")


@pytest.mark.parametrize(
    ("wishes", "complaint"),
    [
        ({"precision": "fp8"}, "precision is 'fp8': choose fp32, fp16, int8"),
        ({"layout": "packed"}, "layout is 'packed': choose planar, nv12"),
        ({"width": 1}, "1x97: a side may be 2 to 16384"),
        ({"height": 20000}, "131x20000"),
        ({"space": ColorSpace(depth=10)}, "8-bit planes, not 10-bit"),
    ],
)
def test_a_fusion_that_cannot_be_is_refused(wishes, complaint):
    with pytest.raises(ConfigError, match=complaint):
        Fusion(**{"width": 131, "height": 97} | wishes)


class TestAStop:
    @pytest.fixture(autouse=True)
    def nothing_is_computed(self, monkeypatch):
        monkeypatch.setattr(exporting, "graph_of", lambda *_: b"graph")
        monkeypatch.setattr(exporting, "compared", lambda *_: (0.1, 0.2))

    @pytest.mark.parametrize("last", STEPS)
    def test_it_is_granted_before_every_step(self, tmp_path, last):
        with pytest.raises(KeyboardInterrupt):
            export("tiny", ODD, output=tmp_path / "a.onnx", watch=lambda what, _: what != last)
        assert list(tmp_path.iterdir()) == []

    def test_it_gives_up_the_building_of_an_engine(self, tmp_path, monkeypatch):
        told = []

        def build(_onnx, _profiles, *, watch):
            told.extend(watch(part) for part in (0.25, 0.5, 0.75))
            raise BackendError("TensorRT cannot build an engine: it was told to stop")

        monkeypatch.setattr(engines, "build", build)
        with pytest.raises(KeyboardInterrupt):
            export("tiny", ODD, to="tensorrt", output=tmp_path / "a.plan", watch=lambda _, part: part != 0.5)
        assert told == [True, False, False]
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(BackendError, match="told to stop"):
            export("tiny", ODD, to="tensorrt", output=tmp_path / "a.plan")

    @pytest.mark.slow
    @pytest.mark.timeout(200)
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_signal_is_one(self, tmp_path, number, code):
        command = [sys.executable, "-m", "streamcolor", "export", "--size", "64x64", "-o", tmp_path / "a.onnx"]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as running:
            assert running.stderr.readline() == "exporting the graph\n"
            running.send_signal(number)
            said = running.stderr.read()
        assert running.returncode == code
        assert said.splitlines()[-1] == "stopped: nothing is written"
        assert list(tmp_path.iterdir()) == []


class TestTheCommand:
    @pytest.fixture
    def invoke(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(exporting, "graph_of", lambda _, fusion: constant(128, fusion))
        monkeypatch.setattr(exporting, "compared", lambda *_: (0.125, 0.25))
        return lambda *arguments: CliRunner().invoke(app, ["export", *arguments])

    def test_it_says_what_it_does_and_what_came_of_it(self, invoke, tmp_path):
        done = invoke("--size", "96x128", "--matrix", "bt2020", "--range", "full", "-o", "a.onnx")
        assert done.exit_code == 0, done.output
        assert done.stderr.splitlines()[:3] == STEPS
        assert "a.onnx: 0.0 MB, on average 0.12 (Cb) and 0.25 (Cr) codes off the processor's" in done.stderr
        assert (tmp_path / "a.onnx").exists()

    def test_quiet_says_nothing_and_every_choice_arrives(self, invoke, monkeypatch):
        seen = []
        monkeypatch.setattr(exporting, "graph_of", lambda path, fusion: seen.append((path, fusion)) or b"graph")
        colors = ("--matrix", "bt601", "--range", "full", "--layout", "nv12")
        done = invoke("--size", "72x90", *colors, "--precision", "fp32", "--model", "tiny-fp32", "-q")
        assert (done.exit_code, done.output) == (0, "")
        space = ColorSpace(Matrix.BT601, full_range=True)
        assert seen == [(MODEL, Fusion(90, 72, space, precision="fp32", layout="nv12"))]

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (("--size", "1080"), 2, "'1080' is not 2 numbers with 'x' between them"),
            (("--batch", "many"), 2, "'many' is not 3 numbers with ',' between them"),
            (("--batch", "8,4,2", "--to", "tensorrt"), 2, "batch is 8,4,2"),
            (("--model", "enormous"), 2, "no model 'enormous'"),
            (("--size", "1x1"), 2, "a side may be"),
            (("-o", "."), 1, "it is a folder"),
        ],
    )
    def test_what_is_wrong_is_one_line_with_its_exit_code(self, invoke, arguments, code, message):
        done = invoke(*arguments)
        assert done.exit_code == code, done.output
        assert message in " ".join(done.stderr.split()).replace("│ ", "")

    def test_without_torch_it_says_what_to_install(self, invoke, monkeypatch):
        command = sys.modules["streamcolor.cli.export"]  # the package has the function under that name
        monkeypatch.setattr(command, "find_spec", lambda name: None if name in ("torch", "onnx") else object())
        done = invoke()
        assert done.exit_code == 2
        assert done.stderr == "error: export needs torch, onnx: pip install 'streamcolor[train]'\n"


class TestProgress:
    def test_a_log_gets_a_line_for_every_step(self):
        stream = io.StringIO()
        with steps(stream) as show:
            for part in (0.0, 0.5, 1.0):
                show("one", part)
            show("two", 0.0)
        assert stream.getvalue() == "one\ntwo\n"

    def test_a_terminal_gets_a_bar_that_is_gone_at_the_end(self):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        stream = Terminal()
        with steps(stream) as show:
            show("building the engine", 0.25)
        assert "building the engine" in stream.getvalue()

    def test_quiet_is_silent(self):
        stream = io.StringIO()
        with steps(stream, quiet=True) as show:
            show("one", 0.0)
        assert stream.getvalue() == ""
