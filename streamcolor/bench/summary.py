"""What the figures of a benchmark mean: a table, charts, and one sentence."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from streamcolor.bench.chart import Bar, Chart
from streamcolor.bench.pipeline import CAMERA
from streamcolor.bench.stages import PREDICTED

Result: TypeAlias = Mapping[str, Any]

BUSY: Final = 0.85  # part of all cores' time: more cannot be had
FOREIGN: Final = 0.15  # part of the cores that others may take before we say so

FASTEST: Final = "ultrafast"  # the preset
HARDWARE: Final = "a hardware encoder (--codec h264_nvenc)"

_CURES: Final = {
    "decode": "a smaller --size or a codec that is easier to decode",
    "network": "another --backend, a smaller --model, or predicting fewer frames (`streamcolor run --every N`)",
    "encode": f"a faster --preset, or {HARDWARE}",
}


def summarized(measured: Result) -> dict[str, Any]:
    """Return a measurement with what follows from it."""
    ours, cores = measured["runs"]["streamcolor"], measured["machine"]["cores"]
    fps = 1000 / ours["wall"]["median"]
    return {
        **measured,
        "fps": round(fps, 1),
        "times_real_time": round(fps / measured["clip"]["rate"], 2),
        "cameras": int(min(fps, 1000 * cores / ours["cpu"]["median"]) / CAMERA),
        "verdict": verdict(measured),
    }


def shares(measured: Result) -> dict[str, float]:
    """Return the processor time that each stage takes of an average frame, in ms; "rest": what no stage explains."""
    found = {
        name: cost["cpu"]["median"] * (measured["predicted"] if name in PREDICTED else 1)
        for name, cost in measured["stages"].items()
    }
    whole = measured["runs"]["streamcolor"]["cpu"]["median"]
    return found | {"rest": max(0.0, whole - sum(found.values()))}


def verdict(measured: Result) -> str:
    """Say in one sentence what limits, and what would make it faster."""
    ours = measured["runs"]["streamcolor"]
    cores = measured["machine"]["cores"]
    busy = ours["cpu"]["median"] / ours["wall"]["median"] / cores
    parts = shares(measured)
    largest = max(_CURES, key=lambda name: parts[name])
    share = parts[largest] / sum(parts.values())
    cure = _CURES[largest]
    if largest == "encode" and measured["encoder"]["preset"] == FASTEST:
        cure = HARDWARE
    most = f"{largest} takes {share:.0%} of our processor time; what helps: {cure}"
    if (measured["others"] or 0) > FOREIGN:
        return f"Other programs took {measured['others']:.0%} of the cores, so measure again without them; {most}."
    if busy >= BUSY:
        return f"All {cores} cores are busy, and {most}."
    return f"The cores are only {busy:.0%} busy, since one stage waits for another; {most}."


def text(result: Result) -> Iterator[str]:
    """Yield the lines for a terminal."""
    machine, clip, network = result["machine"], result["clip"], result["network"]
    width, height = clip["size"]
    threads = ", ".join(f"{name} {count}" for name, count in result["threads"].items())
    encoder = f"{result['encoder']['codec']} {result['encoder']['preset']}"
    yield f"machine   {machine['cores']} cores of {machine['cpu']} ({', '.join(machine['instructions']) or '-'})"
    yield f"versions  Python {machine['python']}, " + ", ".join(f"{k} {v}" for k, v in machine["packages"].items())
    yield f"threads   {threads}"
    yield f"clip      {clip['source']}, {width}x{height}, {clip['frames']} frames at {clip['rate']:g} fps"
    yield f"network   {network['name']} ({network['precision']}) on {network['backend']}; encoder {encoder}"
    yield ""
    yield f"{'ms a frame, median (least to most)':<36}{'wall':>24}{'processor':>24}"
    names = {"decode": "decoding alone", "transcode": "decoding and encoding: the limit", "streamcolor": "coloring"}
    yield from (_row(said, result["runs"][name]) for name, said in names.items())
    yield from (_row(f"  {name} alone", cost) for name, cost in result["stages"].items())
    yield ""
    limit = {what: result["limit_over_ours"][what]["median"] for what in ("cpu", "wall")}
    yield f"{result['fps']:g} frames a second, {result['times_real_time']:g} x real time"
    yield f"the limit takes {limit['cpu']:.0%} of our processor time and {limit['wall']:.0%} of our wall time"
    yield f"the network saw {result['predicted']:.0%} of the frames; peak memory {result['peak_mb']} MB"
    yield from _live(result)
    yield from _backends(result)
    yield ""
    yield result["verdict"]


def charts(result: Result) -> list[Chart]:
    """Return where the time goes, and the backends where they were compared."""
    width, height = result["clip"]["size"]
    limit = result["runs"]["transcode"]["cpu"]["median"]
    whole = result["runs"]["streamcolor"]["cpu"]["median"]
    parts = shares(result)
    bars = [
        Bar("transcode (the limit)", limit, f"{limit:.2f} ms", 1),
        Bar("streamcolor", whole, f"{whole:.2f} ms"),
        *(Bar(name, part, f"{part:.2f} ms", 2) for name, part in parts.items()),
    ]
    drawn = [Chart(f"Processor time of a frame of {width}x{height}, {result['encoder']['preset']}", bars)]
    if works := _working(result):
        rows = [(name, each["network"]["wall"]["median"]) for name, each in works.items()]
        drawn.append(Chart("The network alone, wall time of a picture", [Bar(n, v, f"{v:.2f} ms", 3) for n, v in rows]))
    return drawn


def _row(name: str, cost: Mapping[str, Mapping[str, float]]) -> str:
    cells = (
        f"{each['median']:.2f} ({each['least']:.2f} to {each['most']:.2f})" for each in (cost["wall"], cost["cpu"])
    )
    return f"{name:<36}" + "".join(f"{cell:>24}" for cell in cells)


def _live(result: Result) -> Iterator[str]:
    live, rate = result["live"], result["clip"]["rate"]
    delay = ", ".join(f"{name} {value:g}" for name, value in live["delay_ms"].items())
    kept = "nothing was lost" if not live["lost"] else f"{live['lost']:.1%} of the frames were lost"
    cameras = f"{live['streams']} camera{'s' * (live['streams'] > 1)} at {rate:g} fps"
    yield f"{cameras}: {kept}, delay in ms {delay}, cores {live['processor']:.0%} busy"
    yield f"live streams at {CAMERA} fps that would fit: {result['cameras']}"


def _working(result: Result) -> dict[str, Any]:
    return {name: each for name, each in result.get("backends", {}).items() if "failed" not in each}


def _backends(result: Result) -> Iterator[str]:
    if "backends" not in result:
        return
    yield ""
    yield f"{'backend':<20}{'network ms':>12}{'processor':>12}{'whole fps':>12}{'CIEDE2000 mean':>16}{'p99':>8}"
    for name, each in result["backends"].items():
        if "failed" in each:
            yield f"{name:<20}{each['failed']}"
            continue
        network, whole, apart = each["network"], each["streamcolor"], each["ciede2000"]
        colors = f"{apart['mean']:>16.2f}{apart['p99']:>8.2f}" if apart else f"{'-':>16}{'-':>8}"
        speed = f"{network['wall']['median']:>12.2f}{network['cpu']['median']:>12.2f}"
        yield f"{name:<20}{speed}{1000 / whole['wall']['median']:>12.1f}{colors}"
    reference = next((each["ciede2000"]["to"] for each in _working(result).values() if each["ciede2000"]), None)
    if reference:
        yield f"colors are compared with {reference}"
