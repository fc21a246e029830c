"""Compare the runtimes of the network: processor time of a picture, on one thread, at the size of 720p video."""

import argparse
import statistics
import sys
import time
from contextlib import ExitStack

import numpy as np
from measure import write

from streamcolor.backends import Backend
from streamcolor.bench.compare import open_all
from streamcolor.chroma import network_size


def main() -> None:
    """Read the command line, measure, write results/runtimes.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="rounds (default 60)")
    given = parser.parse_args()
    stack = ExitStack()
    opened, failed = open_all("tiny", stack, threads=1)
    for name, why in failed.items():
        print(f"{name}: {why}", file=sys.stderr)
    backends = {name.replace("fp32", "single"): backend for name, backend in opened.items()}
    network = next(iter(backends.values())).network
    width, height = network_size(1280, 720, pixels=network.pixels, stride=network.stride)
    light = (np.random.default_rng(0).random((1, 1, height, width)) * 100).astype(np.float32)
    for backend in backends.values():
        cost(backend, light)  # compiles
    seen: dict[str, list[float]] = {name: [] for name in backends}
    for _ in range(given.rounds):
        for name, backend in backends.items():
            seen[name].append(cost(backend, light))
    figures = {name: round(statistics.median(each), 2) for name, each in seen.items()}
    stack.close()
    write("runtimes", {"size": [width, height], "cpu_ms": figures})


def cost(backend: Backend, light: np.ndarray) -> float:
    """Processor time of one prediction, in milliseconds, of all threads."""
    began = time.process_time()
    backend.predict(light, vividness=0.5)
    return (time.process_time() - began) * 1000


if __name__ == "__main__":
    main()
