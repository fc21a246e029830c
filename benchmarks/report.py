"""Write the figures of committed JSON into the documents: `python benchmarks/report.py [--check]`.

Each document holds blocks `<!-- figures: NAME -->` … `<!-- /figures -->`; what stands between is made here.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from color_report import GRAY, MEAN, VIVID, ablation_table, gains, networks_table, quality_table, quantization_table
from growth_report import growth_charts, growth_table, limit_table, peers_charts, peers_table, stages_table, table
from live_report import delay_table, soak_table

from streamcolor.bench.chart import Chart, svg

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "docs/figures.md", "docs/adr/0001-runtime.md", "streamcolor/models/tiny.md")
BLOCK = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- /figures -->)", re.DOTALL)


def load(path: str) -> dict[str, Any]:
    """Read a committed result."""
    result: dict[str, Any] = json.loads((ROOT / path).read_text())
    return result


def quality() -> str:
    """Return the figures of every data set."""
    return quality_table(load("training/results/tiny.json"))


def networks() -> str:
    """Return how far the shipped network has come from where the project began."""
    seed, tiny = (load(f"training/results/{name}.json") for name in ("seed", "tiny"))
    versions = {
        "gray": (tiny, GRAY),
        "seed": (seed, MEAN),
        "tiny, careful": (tiny, MEAN),
        "tiny, default": (tiny, VIVID),
    }
    return networks_table(versions)


def quantization() -> str:
    """Return how far int8 is from single precision."""
    return quantization_table(load("training/results/tiny-int8.json"))


def ablation() -> str:
    """Return what each part of the recipe gives."""
    return ablation_table(load("training/results/ablation.json"))


def speed() -> str:
    """Return the end-to-end costs."""
    found = load("benchmarks/results/end_to_end.json")
    rows = [(name, cost["wall"], cost["cpu"]) for name, cost in found["milliseconds_per_frame"].items()]
    width, height = found["size"]
    return table((f"{width}x{height}, milliseconds a frame", "wall", "processor"), rows)


def ratios() -> str:
    """Return the end-to-end ratios, each with its spread over the rounds."""
    found = load("benchmarks/results/end_to_end.json")
    names = {
        "transcode_cpu_over_ours": "processor time of a plain transcode / ours",
        "transcode_cpu_over_ours_every_frame": "the same, every frame predicted (`--every 1`)",
    }
    figures = {said: found[key] for key, said in names.items()}
    figures |= {f"wall time of the {name} / ours": each for name, each in found["opencv_wall_over_ours"].items()}
    rows = [(said, each["median"], f"{each['least']} to {each['most']}") for said, each in figures.items()]
    return table(("ratio within a round", "median", "spread"), rows)


def memory() -> str:
    """Return peak memory by length."""
    runs = load("benchmarks/results/memory.json")["runs"]
    return table(("1080p", "frames", "peak MB"), [(name, run["frames"], run["peak_mb"]) for name, run in runs.items()])


def start() -> str:
    """Return start-up times."""
    found = load("benchmarks/results/start.json")
    names = {
        "first_frame_s": "`streamcolor run` until the first frame is out",
        "very_first_frame_s": "the same, the first time: the network is compiled",
        "help_s": "`streamcolor --help`",
    }
    rows = [
        (said, found[key]["median"], f"{found[key]['least']} to {found[key]['most']}") for key, said in names.items()
    ]
    return table(("seconds", "median", "spread"), rows)


def every() -> str:
    """Return what predicting only changed pictures costs."""
    clips = load("benchmarks/results/every.json")["clips"]
    rows = [
        (
            name,
            each["every_frame"],
            f"{each['auto']} ({each['auto'] - each['every_frame']:+.2f})",
            f"{each['flicker']:.3f}",
            f"{each['predicted']:.0%}",
        )
        for name, each in clips.items()
    ]
    head = ("PSNR against the truth, dB", "every frame", "`--every auto`", "its flicker / every frame's", "predicted")
    return table(head, rows)


def runtimes() -> str:
    """Return what a prediction costs on each runtime."""
    found = load("benchmarks/results/runtimes.json")
    width, height = found["size"]
    return table((f"one picture of {width}x{height}, one thread", "processor ms"), found["cpu_ms"].items())


def summary() -> str:
    """Return the lines that the README shows."""
    cost, start_up = load("benchmarks/results/end_to_end.json"), load("benchmarks/results/start.json")
    above = gains(load("training/results/tiny.json"))
    peak = max(run["peak_mb"] for run in load("benchmarks/results/memory.json")["runs"].values())
    fps = 1000 / cost["milliseconds_per_frame"]["streamcolor"]["wall"]
    limit = cost["transcode_cpu_over_ours"]["median"]
    loop = cost["opencv_wall_over_ours"]["OpenCV loop, openvino"]["median"]
    height, cores = cost["size"][1], cost["machine"]["cores"]
    first = start_up["first_frame_s"]["median"]
    return f"""\
- **{fps:.0f} frames a second** of {height}p on {cores} cores, decoding and encoding included:
  {loop:.1f} times as fast as the usual OpenCV loop with the same network on the same runtime.
- A plain transcode takes **{limit:.0%}** of the processor time of a coloring one.
- **{peak} MB** of memory at 1080p, however long the film; the first frame is out after {first:.1f} s.
- **{min(above):+.1f} to {max(above):+.1f} dB** PSNR over gray on four sets of pictures that it was not trained on,
  with its most careful colors. It is a small network: look at its pictures before you trust a number."""


def machine() -> str:
    """Return what speed was measured on: a line for each machine, with the results that are its."""
    results: dict[str, list[str]] = {}
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        found = load(f"benchmarks/results/{path.name}")["machine"]
        packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
        cpu = f"{found['cores']} cores of {found['cpu']} ({', '.join(found['instructions'])})"
        results.setdefault(f"{cpu}, Python {found['python']}, {packages}.", []).append(f"`{path.stem}`")
    return "\n".join(f"- {', '.join(names)}: {said}" for said, names in results.items())


def growth() -> str:
    """Return how cost grows, with a chart."""
    return _measured("growth", growth_table) + _chart("growth")


def limit() -> str:
    """Return the ratio to the limit for sizes and presets."""
    return _measured("limit", limit_table)


def stages() -> str:
    """Return what is done to pixels, and by Python."""
    return _measured("stages", stages_table)


def peers() -> str:
    """Return other networks' cost, with a chart."""
    return _measured("peers", peers_table) + _chart("peers")


def live_delay() -> str:
    """Return the delay that coloring adds to cameras."""
    return _measured("live_delay", delay_table)


def soak() -> str:
    """Return what grows when cameras run for long."""
    return _measured("soak", soak_table)


CHARTS: dict[str, Callable[[dict[str, Any]], list[Chart]]] = {"growth": growth_charts, "peers": peers_charts}


def _measured(name: str, show: Callable[[dict[str, Any]], str]) -> str:
    path = f"benchmarks/results/{name}.json"
    return show(load(path)) if (ROOT / path).exists() else f"*Not measured on this version: `benchmarks/{name}.py`.*"


def _chart(name: str) -> str:
    measured = (ROOT / f"benchmarks/results/{name}.json").exists()
    return f"\n\n![{name}](pictures/{name}.svg)" if measured else ""


BLOCKS: dict[str, Callable[[], str]] = {
    made.__name__: made
    for made in (
        *(quality, networks, quantization, ablation, every, speed, ratios, runtimes, memory, start, machine, summary),
        *(limit, growth, stages, peers, live_delay, soak),
    )
}


def rendered(text: str) -> str:
    """Return a document with all of its blocks made anew."""
    return BLOCK.sub(lambda found: f"{found[1]}{BLOCKS[found[2]]()}\n{found[3]}", text)


def main() -> None:
    """Write the documents and charts, or with --check say which are not up to date."""
    wanted = {name: rendered((ROOT / name).read_text()) for name in DOCUMENTS}
    for name, draw in CHARTS.items():
        result = f"benchmarks/results/{name}.json"
        if (ROOT / result).exists():
            wanted[f"docs/pictures/{name}.svg"] = svg(draw(load(result)))
    stale = [name for name, text in wanted.items() if not (ROOT / name).exists() or (ROOT / name).read_text() != text]
    for name in [] if "--check" in sys.argv else stale:
        (ROOT / name).write_text(wanted[name])
    if "--check" in sys.argv and stale:
        sys.exit(f"not up to date: {', '.join(stale)}; run python benchmarks/report.py")


if __name__ == "__main__":
    main()
