"""Prove on a GPU what can only be proven there: colors, speed, delay, and how near it is to what the card can do.

    python benchmarks/gpu.py                         on a GPU, about ten minutes
    python benchmarks/gpu.py --device cpu --quick    anywhere: does the script itself work?

Needs torch, numpy, opencv, onnx and onnxruntime. What else is not installed is left out and named: tensorrt or
tensorrt_rtx (with onnxscript) for engines, av and typer for whole films. A section that fails leaves the others. Writes
results/gpu.json after every section.
"""

import argparse
import itertools
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from roofline import Ceilings, ceilings, delays, demand, seconds, wait
from torch import Tensor, nn

from streamcolor.backends import known_models
from streamcolor.backends.fused import Fusion, codes_of, fuse, graph_of
from streamcolor.errors import StreamcolorError
from streamcolor.export import processor_colors, scenes
from streamcolor.frames import ColorSpace
from streamcolor.nets.planes import PlanesColorizer, Sizes, halved
from streamcolor.nets.rebuild import rebuild
from streamcolor.nets.replay import captured

Row = dict[str, Any]

RESULTS = Path(__file__).parent / "results"
MODEL = known_models()["tiny-fp32"]
EXPECTED: Final = (ImportError, OSError, RuntimeError, StreamcolorError, subprocess.SubprocessError)
RUN: Final = "from streamcolor.cli import app; app()"
PROGRAM: Final = {  # the program; the same where pictures come back to memory although they could stay
    "device": RUN,
    "memory": f"import streamcolor.wiring as wiring; wiring.open_device = lambda *_: None; {RUN}",
}
OPTIONAL: Final = ("onnxscript", "tensorrt", "tensorrt_rtx", "triton", "av", "typer", "openvino")


@dataclass(frozen=True)
class Goal:
    """A figure to reach: the best, or the worst, of a column of the rows of some sections."""

    what: str
    sections: tuple[str, ...]
    column: str
    choose: Callable[[list[float]], float]
    reached: Callable[[float], bool]
    whole_way: bool = False  # only of pictures of 1080p at the network's working size

    def verdict(self, found: Mapping[str, Any]) -> Row:
        """Return what was reached; nothing where nothing was measured."""
        rows = [row for name in self.sections for row in found.get(name, {"rows": []})["rows"] if self.column in row]
        if self.whole_way:
            rows = [row for row in rows if ", network" in row["what"] and "class" not in row["what"]]
        if not rows:
            return {"what": self.what, "figure": "not measured", "reached": "-"}
        figure = self.choose([row[self.column] for row in rows])
        return {"what": self.what, "figure": figure, "reached": self.reached(figure)}


FAST: Final = ("throughput", "compiled", "engine")
GOALS: Final = (
    Goal("Cb off by at most 0.5 codes", ("correctness", "engine"), "cb_codes", max, lambda codes: codes <= 0.5),
    Goal("Cr off by at most 0.5 codes", ("correctness", "engine"), "cr_codes", max, lambda codes: codes <= 0.5),
    Goal("20,000 pictures/s", FAST, "device_per_s", max, lambda rate: rate >= 20_000, whole_way=True),
    Goal("60 % of the limit", FAST, "of_limit", max, lambda part: part >= 0.6, whole_way=True),
    Goal("delay of 0.5 ms", ("delay", "engine"), "p50_ms", min, lambda time_taken: time_taken <= 0.5),
    Goal("5 % of a film's time for color", ("film",), "color_part", min, lambda part: part < 0.05),
)


@dataclass(frozen=True)
class Bench:
    """Where, how thoroughly and until when to measure."""

    device: torch.device
    quick: bool
    deadline: float  # of time.monotonic()

    @property
    def gpu(self) -> bool:
        """Whether it is a GPU."""
        return self.device.type == "cuda"

    @property
    def picture(self) -> tuple[int, int]:
        """Return height and width of the planes: 1080p."""
        return (270, 480) if self.quick else (1080, 1920)

    @property
    def batches(self) -> tuple[int, ...]:
        """Return how many pictures at once are tried."""
        return (1, 2) if self.quick else (1, 4, 16, 64, 128, 256)

    @property
    def ways(self) -> tuple[str, ...]:
        """Return how modules are run."""
        return ("eager", "graph") if self.gpu else ("eager",)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Return what is computed in; fp16 is slow on a processor, and of no use."""
        return ("fp16", "fp32") if self.gpu else ("fp32",)

    @property
    def least(self) -> float:
        """Return for how many seconds a call is repeated."""
        return 0.01 if self.quick else 0.25

    def late(self) -> bool:
        """Whether nothing more may be begun."""
        return time.monotonic() > self.deadline


@dataclass(frozen=True)
class Case:
    """A module on the device, and what it is fed with."""

    what: str
    module: nn.Module
    example: Tensor  # a batch of one, in host memory
    settings: tuple[Tensor, ...]  # on the device


def cases(bench: Bench, precision: str) -> Iterator[Case]:
    """Give the whole way of a picture and the network alone, at the size it works at and in two classes of size."""
    height, width = bench.picture
    works_at = fuse(MODEL, Fusion(width, height)).sizes.small
    others = {} if bench.quick else {" (256 class)": (256, 256), " (512 class)": (512, 512)}
    vividness, saturation = torch.full((1,), 0.5, device=bench.device), torch.ones(1, device=bench.device)
    luma = torch.from_numpy(scenes(1, height, width, ColorSpace()))[None]
    for name, small in ({"": works_at} | others).items():
        size = f"network {small[1]}x{small[0]}{name}"
        yield Case(f"{width}x{height}, {size}", planes(bench, precision, small), luma, (vividness, saturation))
        alone = halved(rebuild(MODEL)) if precision == "fp16" else rebuild(MODEL)
        yield Case(size, placed(bench, alone), torch.rand(1, 1, *small) * 100, (vividness,))


def planes(bench: Bench, precision: str, small: tuple[int, int]) -> nn.Module:
    """Return the module that does the whole way of a picture, on the device."""
    half, codes = precision == "fp16", codes_of(ColorSpace())
    return placed(bench, PlanesColorizer(rebuild(MODEL), Sizes(bench.picture, small), codes, half=half))


def placed(bench: Bench, module: nn.Module) -> nn.Module:
    """Return a module on the device, in the memory layout that suits it."""
    layout = torch.channels_last if bench.gpu else torch.contiguous_format
    return module.eval().to(bench.device, memory_format=layout)  # type: ignore[call-overload,no-any-return]


def runner(module: Callable[..., Any], inputs: Sequence[Tensor], way: str) -> Callable[[], Tensor]:
    """Return what computes the first output from `inputs`, which lie on the device and may change."""

    def run() -> Tensor:
        with torch.inference_mode():
            made = module(*inputs)
        return made[0] if isinstance(made, tuple) else made

    if way == "eager":
        return run
    if way == "compiled":
        module = torch.compile(module, dynamic=False)
        if inputs[0].device.type == "cpu":
            return run
        run()
    return _Replay(run)


class _Replay:
    """What `run` computes, as a CUDA graph; `run` is kept, because the graph reads the memory of its inputs."""

    def __init__(self, run: Callable[[], Tensor]) -> None:
        self._run = run
        self._output, self._replay = captured(run)

    def __call__(self) -> Tensor:
        self._replay()
        return self._output


def correctness(bench: Bench) -> Iterator[Row]:
    """Compare the colors of natural pictures with those of the processor, by the program's own route there."""
    height, width = bench.picture
    luma = scenes(4, height, width, ColorSpace())
    expected, vividness = processor_colors(luma, MODEL, ColorSpace())
    settings = torch.tensor([vividness], device=bench.device), torch.ones(1, device=bench.device)
    for precision in ("fp32", "fp16"):
        module = planes(bench, precision, fuse(MODEL, Fusion(width, height)).sizes.small)
        for way in bench.ways:
            made = runner(module, (torch.from_numpy(luma)[:, None].to(bench.device), *settings), way)()
            yield {"what": "torch", "precision": precision, "way": way, **difference(made.cpu().numpy(), expected)}


def difference(found: np.ndarray, expected: np.ndarray) -> Row:
    """Return by how many codes Cb and Cr differ."""
    each = np.abs(found.astype(np.float32) - expected)
    cb, cr = (float(value) for value in each.mean((0, 2, 3)))
    return {"cb_codes": cb, "cr_codes": cr, "most_codes": float(each.max())}


def throughput(bench: Bench, limits: Ceilings) -> Iterator[Row]:
    """Measure pictures per second from device memory and from host memory, beside the least time they could take."""
    for precision in bench.precisions:
        for case in cases(bench, precision):
            for way in bench.ways:
                for batch in bench.batches:
                    if bench.late():
                        return
                    yield {"precision": precision, **speed(bench, case, limits, way=way, batch=batch)}


def compiled(bench: Bench, limits: Ceilings) -> Iterator[Row]:
    """Measure what torch.compile gains for the whole way; it takes a minute for every size of batch."""
    precision = bench.precisions[0]
    case = next(cases(bench, precision))
    for batch in (64, 1, 16) if bench.gpu else (1,):
        if bench.late():
            return
        yield {"precision": precision, **speed(bench, case, limits, way="compiled", batch=batch)}


def speed(bench: Bench, case: Case, limits: Ceilings, *, way: str, batch: int) -> Row:
    """Return pictures per second of one case, and what part of the least time that is."""
    row: Row = {"what": case.what, "way": way, "batch": batch}
    asked = demand(case.module, (case.example.to(bench.device), *case.settings))
    held = case.example.to(bench.device).repeat(batch, 1, 1, 1)
    try:
        time_taken = seconds(runner(case.module, (held, *case.settings), way), bench.device, least=bench.least)
        from_host = seconds(through_host(bench, case, way, batch), bench.device, least=bench.least)
    except torch.OutOfMemoryError:
        return row | {"out_of_memory": True}
    rate, bus = batch / time_taken, min(limits.up_bytes_per_second, limits.down_bytes_per_second)
    return row | {
        "device_per_s": rate,
        "host_per_s": batch / from_host,
        "gflop": asked.operations / 1e9,
        "planes_mb": asked.planes / 1e6,
        "layers_mb": asked.layers / 1e6,
        "of_limit": asked.seconds(batch, limits) / time_taken,
        "of_bandwidth": rate * asked.layers / limits.bytes_per_second,
        "of_arithmetic": rate * asked.operations / limits.operations_per_second,
        "of_bus": batch / from_host * asked.planes / bus,
    }


def through_host(bench: Bench, case: Case, way: str, batch: int) -> Callable[[], None]:
    """Return what colors a batch from pinned memory into pinned memory; every other call has a stream of its own."""
    slots = []
    for _ in range(2 if bench.gpu else 1):
        source = case.example.repeat(batch, 1, 1, 1)
        source = source.pin_memory() if bench.gpu else source
        held = source.to(bench.device)
        call = runner(case.module, (held, *case.settings), way)
        made = call()
        target = torch.empty(made.shape, dtype=made.dtype, pin_memory=bench.gpu)
        slots.append((source, held, call, target, torch.cuda.Stream() if bench.gpu else None))
    wait(bench.device)
    turn = itertools.cycle(slots)

    def run() -> None:
        source, held, call, target, stream = next(turn)
        with torch.cuda.stream(stream) if stream else nullcontext():
            held.copy_(source, non_blocking=True)
            target.copy_(call(), non_blocking=True)

    return run


def delay(bench: Bench) -> Iterator[Row]:
    """Measure how long one picture takes, from device memory and from host memory and back."""
    count = 5 if bench.quick else 2000
    for precision in bench.precisions:
        case = next(cases(bench, precision))
        for way in bench.ways:
            inputs = case.example.to(bench.device), *case.settings
            for memory, call in (
                ("device", runner(case.module, inputs, way)),
                ("host", through_host(bench, case, way, 1)),
            ):
                found = delays(call, bench.device, count=count)
                yield {"what": case.what, "precision": precision, "way": way, "from": memory, **found}


def engine(bench: Bench, limits: Ceilings) -> Iterator[Row]:
    """Measure the whole way on TensorRT: colors, speed and delay."""
    from streamcolor.backends.engine_session import Gpu, Session  # noqa: PLC0415
    from streamcolor.backends.engines import Profile, build, load_tensorrt  # noqa: PLC0415

    height, width = bench.picture
    shapes = ((count, 1, height, width) for count in (1, 16, bench.batches[-1]))
    began = time.monotonic()
    plan = build(graph_of(MODEL, Fusion(width, height)), {"luma": Profile(*shapes)})
    trt = load_tensorrt()
    yield {"what": f"build {trt.__name__} {trt.__version__}", "seconds": time.monotonic() - began}
    session = Session(trt, plan, Gpu())
    luma = scenes(4, height, width, ColorSpace())
    expected, vividness = processor_colors(luma, MODEL, ColorSpace())
    settings = {"vividness": torch.tensor([vividness]).cuda(), "saturation": torch.ones(1).cuda()}
    found = session(luma=torch.from_numpy(luma)[:, None].cuda(), **settings)["chroma"].cpu().numpy()
    yield {"what": trt.__name__, "precision": "fp16", **difference(found, expected)}
    case = next(cases(bench, "fp16"))
    asked = demand(case.module, (case.example.to(bench.device), *case.settings))
    for batch in bench.batches:
        held = case.example.cuda().repeat(batch, 1, 1, 1)
        time_taken = seconds(lambda held=held: session(luma=held, **settings), bench.device, least=bench.least)  # type: ignore[misc]
        part = asked.seconds(batch, limits) / time_taken
        yield {
            "what": case.what,
            "way": trt.__name__,
            "batch": batch,
            "device_per_s": batch / time_taken,
            "of_limit": part,
        }
    one = case.example.cuda()
    yield {"what": "delay at batch 1", **delays(lambda: session(luma=one, **settings), bench.device, count=2000)}


def film(bench: Bench) -> Iterator[Row]:
    """Run the program itself on a film: decode, color, encode; beside a plain transcode.

    On a GPU once with pictures that stay there, and once by way of memory.
    """
    names = ["torch", *(["tensorrt"] if engines_here() and bench.gpu else [])]
    with tempfile.TemporaryDirectory() as folder:
        clip, out = Path(folder) / "clip.mp4", Path(folder) / "out.mp4"
        frames = write_clip(clip, bench.picture, count=10 if bench.quick else 600)
        began = time.monotonic()
        transcode = Path(__file__).parent / "transcode.py"
        subprocess.run([sys.executable, transcode, clip, out], check=True, capture_output=True, text=True)
        yield {"what": "plain transcode", "per_s": frames / (time.monotonic() - began)}
        for name in names:
            for way, codec, every in film_cases(bench):
                if bench.late():
                    return
                command = [sys.executable, "-c", PROGRAM[way], "run", clip, out, "-y", "-q", "--json", "-"]
                command += ["--backend", name, "--every", every, "--codec", codec]
                report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                part = report["stages"]["color"]["wall"] / report["seconds"]
                what = f"{name}, {way}, {codec}, every {every}"
                yield {"what": what, "per_s": report["fps"], "color_part": part}


def film_cases(bench: Bench) -> Iterator[tuple[str, str, str]]:
    """Give the way of the pictures, the encoder, and how often colors are predicted."""
    from streamcolor.sinks.encoders import why_not  # noqa: PLC0415  # of this section only

    codecs = ["libx264", *(["h264_nvenc"] if bench.gpu and not why_not("h264_nvenc") else [])]
    for every in ("1",) if bench.quick else ("1", "auto"):
        for codec in codecs:
            for way in PROGRAM if bench.gpu else ("memory",):
                yield way, codec, every


def write_clip(path: Path, size: tuple[int, int], *, count: int) -> int:
    """Write a gray film of a natural picture that drifts, with some grain, and return how many frames it has."""
    import av  # noqa: PLC0415  # of this section only

    height, width = size
    (large,) = scenes(1, height + 64, width + 64, ColorSpace())
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as made:
        stream = made.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(count):
            across, down = number * 3 % 64, number * 2 % 64
            picture = np.full((height * 3 // 2, width), 128, np.uint8)
            grain = random.integers(-3, 4, (height, width))
            picture[:height] = np.clip(large[down : down + height, across : across + width] + grain, 16, 235)
            made.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
        made.mux(stream.encode(None))
    return count


def engines_here() -> bool:
    """Whether one of TensorRT's modules is installed."""
    return any(find_spec(name) for name in ("tensorrt", "tensorrt_rtx"))


def machine(device: torch.device) -> Row:
    """Describe what the figures were taken on."""
    found: Row = {"python": platform.python_version(), "torch": torch.__version__, "cuda": torch.version.cuda}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "gpu": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "memory_gb": round(properties.total_memory / 1e9),
            "cudnn": torch.backends.cudnn.version(),
        }
    return found | {"not_installed": [name for name in OPTIONAL if find_spec(name) is None]}


def sections(bench: Bench) -> Iterator[tuple[str, Callable[[], Iterator[Row]]]]:
    """Give what is to be measured by name, the most important first; ceilings are measured on the way."""
    yield "correctness", lambda: correctness(bench)
    yield "delay", lambda: delay(bench)
    limits = ceilings(bench.device, quick=bench.quick)
    yield "ceilings", lambda: iter([asdict(limits)])
    if bench.gpu and engines_here() and find_spec("onnxscript"):
        yield "engine", lambda: engine(bench, limits)
    if find_spec("av") and find_spec("typer"):
        yield "film", lambda: film(bench)
    yield "throughput", lambda: throughput(bench, limits)
    if find_spec("triton"):
        yield "compiled", lambda: compiled(bench, limits)


def measure(bench: Bench, out: Path) -> Row:
    """Go through all sections, print every row, and write what there is after every section."""
    results: Row = {"machine": machine(bench.device), "sections": {}, "goals": []}
    print(json.dumps(results["machine"]), flush=True)
    for name, rows in sections(bench):
        found = results["sections"][name] = {"rows": []}
        print(f"\n{name}", flush=True)
        try:
            for row in print_table(rows()):
                found["rows"].append(row)
        except EXPECTED as error:
            found["error"] = f"{type(error).__name__}: {detail(error)}"
            print(f"  FAILED: {found['error']}", flush=True)
        found["late"] = bench.late()
        results["goals"] = [goal.verdict(results["sections"]) for goal in GOALS]
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(rounded(results), indent=1) + "\n")
    print("\ngoals" + (" (the time was up before all was measured)" if bench.late() else ""))
    for _ in print_table(iter(results["goals"])):
        pass
    return results


def detail(error: BaseException) -> str:
    """Return what an error says in a line, with the last words of a program that failed."""
    words = error.stderr if isinstance(error, subprocess.CalledProcessError) and error.stderr else str(error)
    return " ".join(words.split())[-400:]


def print_table(rows: Iterator[Row]) -> Iterator[Row]:
    """Print rows as they come, with a head where the columns change, and give them on."""
    head: list[str] = []
    for row in rows:
        widths = {name: 44 if name == "what" else max(len(name), 9) for name in row}
        if list(row) != head:
            head = list(row)
            print("  " + "  ".join(f"{name:<{width}}" for name, width in widths.items()))
        print("  " + "  ".join(f"{cell(row[name]):<{width}}" for name, width in widths.items()), flush=True)
        yield row


def cell(value: object) -> str:
    """Return three digits of a number, large ones whole, and everything else as it is."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def rounded(value: Any) -> Any:
    """Return results with four digits, which is more than they are worth."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list) else value


def main() -> None:
    """Read the command line, measure, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="default: cuda")
    parser.add_argument("--quick", action="store_true", help="small pictures, few repetitions: does the script work?")
    parser.add_argument("--minutes", type=float, default=9, help="begin nothing new after so many (default 9)")
    parser.add_argument("--out", type=Path, default=RESULTS / "gpu.json", help="default: results/gpu.json")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch finds no GPU here: --device cpu --quick tries the script without one")
    bench = Bench(torch.device(given.device), given.quick, time.monotonic() + 60 * given.minutes)
    results = measure(bench, given.out)
    failed = [name for name, found in results["sections"].items() if "error" in found]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
