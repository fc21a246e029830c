"""Write the figures of committed JSON into the documents: `python benchmarks/report.py [--check]`.

Each document holds blocks `<!-- figures: NAME -->` … `<!-- /figures -->`; what stands between is made here.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "docs/figures.md", "streamcolor/models/tiny.md")
BLOCK = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- /figures -->)", re.DOTALL)


def load(path: str) -> dict[str, Any]:
    """Read a committed result."""
    result: dict[str, Any] = json.loads((ROOT / path).read_text())
    return result


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; all columns but the first are numbers."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def quality() -> str:
    """Return PSNR, CIEDE2000 and colorfulness for every data set, beside grey and the truth."""
    rows = []
    for name, found in load("training/results/tiny.json")["sets"].items():
        grey, mean, vivid = found["grey"], found["ours, vividness 0"], found["ours, vividness 0.5"]
        rows.append(
            (
                f"{name} ({grey['pictures']})",
                f"{grey['psnr']:.2f}",
                f"{mean['psnr']:.2f} ({mean['psnr'] - grey['psnr']:+.2f})",
                f"{vivid['psnr']:.2f}",
                f"{grey['ciede2000']:.2f}",
                f"{mean['ciede2000']:.2f} ({mean['ciede2000'] / grey['ciede2000'] - 1:+.0%})",
                f"{vivid['ciede2000']:.2f}",
                f"{mean['colorfulness'] / found['truth']['colorfulness']:.2f}",
                f"{vivid['colorfulness'] / found['truth']['colorfulness']:.2f}",
            )
        )
    head = (
        "pictures",
        "PSNR grey",
        "careful",
        "default",
        "CIEDE2000 grey",
        "careful",
        "default",
        "colorfulness careful",
        "default",
    )
    return table(head, rows)


def quantization() -> str:
    """Return how far int8 is from single precision."""
    found = load("training/results/tiny-int8.json")
    return table(
        ("int8 against single precision", "mean", "p99"),
        [("CIEDE2000", f"{found['mean']:.2f}", f"{found['p99']:.2f}")],
    )


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
        "opencv_wall_over_ours": "wall time of the OpenCV loop / ours",
        "opencv_wall_over_ours_every_frame": "the same, every frame predicted",
    }
    rows = [(said, found[key]["median"], f"{found[key]['least']} to {found[key]['most']}") for key, said in names.items()]
    return table(("ratio within a round", "median", "spread"), rows)


def memory() -> str:
    """Return peak memory by length."""
    runs = load("benchmarks/results/memory.json")["runs"]
    return table(("1080p", "frames", "peak MB"), [(name, run["frames"], run["peak_mb"]) for name, run in runs.items()])


def start() -> str:
    """Return start-up times."""
    found = load("benchmarks/results/start.json")
    names = {"first_frame_s": "`streamcolor run` until the first frame is out", "help_s": "`streamcolor --help`"}
    rows = [(said, found[key]["median"], f"{found[key]['least']} to {found[key]['most']}") for key, said in names.items()]
    return table(("seconds", "median", "spread"), rows)


def machine() -> str:
    """Return what the speed was measured on."""
    found = load("benchmarks/results/end_to_end.json")["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    return f"{found['cores']} cores of {found['cpu']} ({', '.join(found['instructions'])}), Python {found['python']}, {packages}."


BLOCKS: dict[str, Callable[[], str]] = {
    made.__name__: made for made in (quality, quantization, speed, ratios, memory, start, machine)
}


def rendered(text: str) -> str:
    """Return a document with all of its blocks made anew."""
    return BLOCK.sub(lambda found: f"{found[1]}{BLOCKS[found[2]]()}\n{found[3]}", text)


def main() -> None:
    """Write the documents, or with --check say which are not up to date."""
    stale = []
    for name in DOCUMENTS:
        path = ROOT / name
        text = path.read_text()
        if rendered(text) != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(rendered(text))
    if "--check" in sys.argv and stale:
        sys.exit(f"not up to date: {', '.join(stale)}; run python benchmarks/report.py")


if __name__ == "__main__":
    main()
