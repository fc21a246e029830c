"""What work costs: wall time, processor time, peak memory; in rounds, so that disturbances fall on everything alike."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from streamcolor.worker import usable_cores

PACKAGES: Final = ("streamcolor", "av", "numpy", "opencv-python-headless", "openvino", "onnxruntime", "torch")

# Linux hands a process's peak memory on to its children, so that they cannot be measured from a large one (getrusage(2)
# does not say so; fs/exec.c does): a small program that starts the other one has little to hand on.
_LAUNCHER: Final = """
import os, sys
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(pid, 0)
os.write(int(sys.argv[1]), b"%f %d" % (used.ru_utime + used.ru_stime, used.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Cost:
    """What one run of some work cost."""

    wall: float  # seconds
    cpu: float  # seconds, user and system, of all its threads
    peak: float = 0.0  # MB of resident memory; 0 where the work was not a program of its own


def run(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> Cost:
    """Run a program, given by its path, to its end; CalledProcessError with its own words if it fails."""
    read, write = os.pipe()
    began = time.perf_counter()
    with os.fdopen(read) as figures:
        try:
            done = subprocess.run(  # noqa: S603  # ours, or the benchmark's own
                [sys.executable, "-S", "-c", _LAUNCHER, str(write), *command],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(env or {})},
                pass_fds=[write],
                check=False,
            )
        finally:
            os.close(write)
        wall = time.perf_counter() - began
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, stderr=done.stderr.decode())
        cpu, peak = figures.read().split()
    return Cost(wall, float(cpu), int(peak) / 1000)


def cost_of(work: Callable[[], object]) -> Cost:
    """Return what a call cost this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def interleaved(
    works: Mapping[str, Callable[[], Cost]], rounds: int, watch: Callable[[int, str, Cost], None] = lambda *_: None
) -> dict[str, list[Cost]]:
    """Do all works once a round; `watch` is told the round's number (from 1), the name and the cost of each."""
    costs: dict[str, list[Cost]] = {name: [] for name in works}
    for number in range(1, rounds + 1):
        for name, work in works.items():
            costs[name].append(work())
            watch(number, name, costs[name][-1])
    return costs


def median(costs: Sequence[Cost], what: str) -> float:
    """Return the median of one cost."""
    return float(statistics.median(getattr(cost, what) for cost in costs))


def ratio(ours: Sequence[Cost], theirs: Sequence[Cost], what: str) -> dict[str, float]:
    """Return theirs / ours, formed within each round: the median, the least and the most."""
    return spread(getattr(b, what) / max(getattr(a, what), 1e-9) for a, b in zip(ours, theirs, strict=True))


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return the median, the least and the most."""
    each = sorted(values)
    return {"median": round(statistics.median(each), 3), "least": round(each[0], 3), "most": round(each[-1], 3)}


def machine() -> dict[str, Any]:
    """Describe what figures are taken on."""
    info, memory = _lines("/proc/cpuinfo"), _lines("/proc/meminfo")
    cpu = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), platform.machine())
    flags = next((line for line in info if line.startswith("flags")), "").split()
    known = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if flag in flags]
    return {
        "cpu": cpu,
        "cores": usable_cores(),
        "instructions": known,
        "memory_mb": next((int(line.split()[1]) // 1000 for line in memory if line.startswith("MemTotal")), 0),
        "python": platform.python_version(),
        "packages": {name: number for name in PACKAGES if (number := _version(name))},
    }


class Others:
    """How much of the machine other programs take, from now on."""

    def __init__(self) -> None:
        self._began = time.perf_counter(), time.process_time(), _busy()

    def share(self) -> float | None:
        """Return the part of all cores' time, 0 to 1; None where the system does not say."""
        wall, own, busy = self._began
        now = _busy()
        if busy is None or now is None or os.cpu_count() != usable_cores():
            return None
        others = now - busy - (time.process_time() - own)
        return min(1.0, max(0.0, others / (time.perf_counter() - wall) / usable_cores()))


def as_json(result: Mapping[str, Any]) -> str:
    """Return a result with the machine's description, as every file of figures is written."""
    return json.dumps({"machine": machine(), **result}, indent=1) + "\n"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _busy() -> float | None:
    """Return the seconds that all cores have worked since the machine started (proc_stat(5))."""
    first = next(iter(_lines("/proc/stat")), "").split()
    if not first:
        return None
    user, nice, system, _, _, interrupts, soft, stolen = map(int, first[1:9])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []
