"""Compare what networks cost: ours, and the shapes of other colorizers' in our own code, with random weights, in torch.

Speed only: random weights know no colors. A picture each, on all cores, in turn. Two to three minutes on two cores.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from measure import write
from peer_shapes import DDColorTiny, DeOldifyVideo, zhang_2016
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from streamcolor.backends import find_model, open_backend
from streamcolor.chroma import network_size
from streamcolor.nets.rebuild import rebuild
from streamcolor.worker import usable_cores

PEERS = {  # the size that each takes by default, and what its authors say of it
    "Zhang 2016": (zhang_2016, (1, 1, 256, 256), ""),
    "DDColor-tiny": (DDColorTiny, (1, 3, 512, 512), "55.0 M parameters (paper, table of variants)"),
    "DeOldify video": (DeOldifyVideo, (1, 3, 336, 336), ""),
}


def main() -> None:
    """Read the command line, measure, write results/peers.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    given = parser.parse_args()
    torch.set_num_threads(usable_cores())
    figures, works = {}, {}
    with torch.inference_mode():
        for name, (make, shape, said) in PEERS.items():
            module = make().eval()
            figures[name] = {"input": list(shape[1:]), **size_of(module, torch.rand(shape)), "published": said}
            works[name] = run_of(module, torch.rand(shape))
        ours = open_backend("openvino", "tiny", threads=1)
        width, height = network_size(1280, 720, pixels=ours.network.pixels, stride=ours.network.stride)
        module, light = rebuild(find_model("tiny-fp32")).eval(), torch.rand(1, 1, height, width) * 100
        strength = torch.tensor([0.5])
        size = size_of(module, light, strength)
        figures["ours, torch"] = {"input": [1, height, width], **size, "published": ""}
        works["ours, torch"] = run_of(module, light, strength)
        figures["ours, as shipped"] = {"input": [1, height, width], **size, "published": "int8, OpenVINO, one thread"}
        works["ours, as shipped"] = lambda: ours.predict(np.asarray(light), vividness=0.5)
        seconds = interleaved(works, given.rounds)
    for name, each in seconds.items():
        figures[name]["fps"] = round(1 / statistics.median(each), 2)
    write("peers", {"rounds": given.rounds, "networks": figures})


def size_of(module: nn.Module, *inputs: torch.Tensor) -> dict[str, float]:
    """Return millions of parameters and GFLOP of one picture, a multiplication and an addition counted as two."""
    counter = FlopCounterMode(display=False)
    with counter:
        module(*inputs)
    parameters = sum(tensor.numel() for tensor in module.parameters()) + sum(
        tensor.numel() for tensor in module.buffers() if not list(module.parameters())
    )
    return {"parameters_m": round(parameters / 1e6, 2), "gflop": round(counter.get_total_flops() / 1e9, 2)}


def run_of(module: nn.Module, *inputs: torch.Tensor) -> Callable[[], object]:
    """Return what to call for one picture."""
    return lambda: module(*inputs)


def interleaved(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return seconds a picture, all networks in turn; as many pictures as fit into half a second, one at least."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):  # the first one warms up
        for name, work in works.items():
            began, count = time.perf_counter(), 0
            while not count or time.perf_counter() - began < 0.5:
                work()
                count += 1
            each = (time.perf_counter() - began) / count
            print(f"round {number}/{rounds} {name}: {1 / each:.2f} a second", file=sys.stderr, flush=True)
            if number:
                seconds[name].append(each)
    return seconds


if __name__ == "__main__":
    main()
