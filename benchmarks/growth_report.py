"""Tables and charts of how cost grows, of the stages and of other networks, made from committed JSON by report.py."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from streamcolor.bench.chart import Bar, Chart

Found = Mapping[str, Any]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; all columns but the first are numbers."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def growth_table(found: Found) -> str:
    """Return a table for each question."""
    sizes = [
        (
            name,
            each["wall_ms"],
            each["cpu_ms"],
            each["transcode_cpu_over_ours"]["median"],
            each["peak_mb"],
        )
        for name, each in found["resolution"].items()
    ]
    cameras = [
        (
            name,
            f"{each['lost']:.1%}",
            *(each["delay_ms"][part] for part in ("p50", "p95", "p99")),
            f"{each['processor']:.0%}",
        )
        for name, each in found["streams"].items()
    ]
    cores = [(name, each["wall"], each["cpu"]) for name, each in found["threads"].items()]
    lengths = [(f"{name} s", each["frames"], each["cpu_ms"], each["peak_mb"]) for name, each in found["length"].items()]
    parts = (
        table(("size", "wall ms", "processor ms", "transcode / ours, processor", "peak MB"), sizes),
        table(("cameras of 360p, 25 fps", "lost", "delay ms p50", "p95", "p99", "cores busy"), cameras),
        table(("pictures at once", "network, ms a picture"), found["batch"].items()),
        table(("network and input", "ms a picture, one thread"), found["network"].items()),
        table(("cores, 720p", "wall ms", "processor ms"), cores),
        table(("length, 720p", "frames", "processor ms", "peak MB"), lengths),
    )
    note = "\n\n*Taken with --quick: one round, short clips.*" if found["quick"] else ""
    return "\n\n".join(parts) + note


def growth_charts(found: Found) -> list[Chart]:
    """Return a chart for each question."""
    sizes = [Bar(name, each["cpu_ms"], f"{each['cpu_ms']:g} ms") for name, each in found["resolution"].items()]
    cameras = [
        Bar(f"{name} cameras", each["delay_ms"]["p95"], f"{each['delay_ms']['p95']:g} ms, {each['lost']:.1%} lost", 1)
        for name, each in found["streams"].items()
    ]
    networks = [Bar(name, ms, f"{ms:g} ms", 2) for name, ms in found["network"].items()]
    batches = [Bar(f"{name} at once", ms, f"{ms:g} ms", 3) for name, ms in found["batch"].items()]
    cores = [Bar(f"{name} cores", each["wall"], f"{each['wall']:g} ms", 4) for name, each in found["threads"].items()]
    lengths = [Bar(f"{name} s", each["peak_mb"], f"{each['peak_mb']} MB") for name, each in found["length"].items()]
    return [
        Chart("Processor time of a frame, by size", sizes),
        Chart("Delay of cameras at 25 fps, 95th percentile", cameras),
        Chart("Network alone, wall time of a picture, by its input", networks),
        Chart("The same, by pictures at once", batches),
        Chart("Wall time of a frame of 720p, by cores", cores),
        Chart("Peak memory, by length", lengths),
    ]


def stages_table(found: Found) -> str:
    """Return the cost of all work on pixels, and of Python."""
    names = list(next(iter(found["cpu_ms"].values())))
    rows = [
        (size, *(each[name] for name in names), round(sum(each.values()), 3)) for size, each in found["cpu_ms"].items()
    ]
    own = [
        (name, each["median"], f"{each['least']} to {each['most']}") for name, each in found["python_cpu_ms"].items()
    ]
    head = ("processor ms a frame, one thread", *names, "all, if the frame is predicted")
    return table(head, rows) + "\n\n" + table(("Python's own share, ms a frame", "median", "spread"), own)


def peers_table(found: Found) -> str:
    """Return what networks cost, side by side."""
    rows = [
        (
            name,
            "x".join(map(str, each["input"][1:])),
            each["parameters_m"],
            each["published"] or "-",
            each["gflop"],
            each["fps"],
        )
        for name, each in found["networks"].items()
    ]
    head = ("network", "input", "parameters, M", "published", "GFLOP a picture", "pictures a second")
    return table(head, rows)


def peers_charts(found: Found) -> list[Chart]:
    """Return their speed."""
    bars = [Bar(name, each["fps"], f"{each['fps']:g}") for name, each in found["networks"].items()]
    return [Chart("Pictures a second", bars)]


def limit_table(found: Found) -> str:
    """Return how near coloring comes to a transcode, and to one of the colored picture."""

    def said(each: Found) -> str:
        return f"{each['median']} ({each['least']} to {each['most']})"

    rows = [
        (
            name.replace(":", " "),
            each["cpu_ms"]["transcode"],
            each["cpu_ms"]["streamcolor"],
            said(each["transcode_over_ours"]),
            said(each["transcode_over_every_frame"]),
            said(each["colored_transcode_over_ours"]),
            each["peak_mb"],
        )
        for name, each in found["settings"].items()
    ]
    head = (
        "processor time",
        "transcode, ms",
        "ours, ms",
        "transcode / ours",
        "the same, `--every 1`",
        "transcode of the colored / ours",
        "peak MB",
    )
    return table(head, rows)
