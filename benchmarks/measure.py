"""Run a program and say what it cost: wall time, processor time, peak memory."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("streamcolor", "av", "numpy", "opencv-python-headless", "openvino", "onnxruntime")


@dataclass(frozen=True)
class Cost:
    """What one run of a program cost."""

    wall: float  # seconds
    cpu: float  # seconds, user and system, of all its threads
    peak: float  # MB of resident memory


def run(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> Cost:
    """Run `command` to its end; CalledProcessError with its own words if it fails."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **(env or {})}
    )
    assert process.stderr is not None
    words = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=words.decode())
    return Cost(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)


def interleaved(programs: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """Run all programs once a round, so that what else the machine does falls on all of them."""
    costs: dict[str, list[Cost]] = {name: [] for name in programs}
    for number in range(rounds):
        for name, program in programs.items():
            costs[name].append(program())
            print(f"round {number + 1}/{rounds} {name}: {costs[name][-1]}", file=sys.stderr, flush=True)
    return costs


def median(costs: Sequence[Cost], what: str) -> float:
    """Return the median of one cost."""
    return statistics.median(getattr(cost, what) for cost in costs)


def ratio(ours: Sequence[Cost], theirs: Sequence[Cost], what: str) -> dict[str, float]:
    """Return theirs / ours, formed within each round: the median, the least and the most."""
    each = sorted(getattr(b, what) / getattr(a, what) for a, b in zip(ours, theirs, strict=True))
    return {"median": round(statistics.median(each), 3), "least": round(each[0], 3), "most": round(each[-1], 3)}


def machine() -> dict[str, Any]:
    """Describe what the figures were taken on."""
    cpu = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    flags = next((line for line in _lines("/proc/cpuinfo") if line.startswith("flags")), "").split()
    known = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if flag in flags]
    memory = next((int(line.split()[1]) // 1000 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "instructions": known,
        "memory_mb": memory,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []


def write(name: str, result: Mapping[str, Any]) -> None:
    """Write `results/NAME.json`, and print it."""
    text = json.dumps({"machine": machine(), **result}, indent=1)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)
