"""What a machine can do at most, what a network asks of it, and how long it takes: the parts of a roofline."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

Call = Callable[[], object]


@dataclass(frozen=True)
class Ceilings:
    """The most that was measured on this device."""

    bytes_per_second: float  # of its memory, read and written
    operations_per_second: float  # of a large matrix product in the precision that counts
    up_bytes_per_second: float  # from pinned host memory
    down_bytes_per_second: float


@dataclass(frozen=True)
class Demand:
    """What pictures ask for, whatever runs them: a product and a sum are two operations."""

    operations: float  # a picture
    planes: float  # bytes a picture: what must be read and written if everything else stays in caches
    layers: float  # bytes a picture: input and output of every convolution too, as if only what lies between were fused
    weights: float  # bytes a batch

    def seconds(self, batch: int, ceilings: Ceilings) -> float:
        """Return the least time for a batch, if convolutions are not fused with each other."""
        moved = (batch * self.layers + self.weights) / ceilings.bytes_per_second
        return max(moved, batch * self.operations / ceilings.operations_per_second)


def wait(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(call: Call, device: torch.device, *, least: float) -> float:
    """Return the time of a call, averaged over as many as take `least` seconds, after three for nothing."""
    for _ in range(3):
        call()
    count, elapsed = 1, 0.0
    while True:
        wait(device)
        began = time.perf_counter()
        for _ in range(count):
            call()
        wait(device)
        elapsed = time.perf_counter() - began
        if elapsed >= least:
            return elapsed / count
        count = max(2 * count, min(10 * count, int(count * least / max(elapsed, 1e-6))))


def delays(call: Call, device: torch.device, *, count: int) -> dict[str, float]:
    """Return percentiles of the time of single calls, in milliseconds."""
    for _ in range(10):
        call()
    each = []
    for _ in range(count):
        wait(device)
        began = time.perf_counter()
        call()
        wait(device)
        each.append((time.perf_counter() - began) * 1000)
    cuts = statistics.quantiles(each, n=100, method="inclusive")
    return {"p50_ms": cuts[49], "p95_ms": cuts[94], "p99_ms": cuts[98]}


def ceilings(device: torch.device, *, quick: bool) -> Ceilings:
    """Measure the device: a copy, a matrix product in fp16 (on a processor in fp32), copies over the bus."""
    gpu = device.type == "cuda"
    least = 0.02 if quick else 0.5
    size = 1 << (24 if quick else 30)
    one, other = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
    copied = 2 * size / seconds(lambda: one.copy_(other), device, least=least)
    side = 256 if quick else 8192
    kind = torch.float16 if gpu else torch.float32
    factor = torch.randn(side, side, device=device).to(kind)  # of zeros a GPU makes faster products
    product = torch.empty_like(factor)
    multiplied = 2 * side**3 / seconds(lambda: torch.matmul(factor, factor, out=product), device, least=least)
    host = torch.zeros(size, dtype=torch.uint8, pin_memory=gpu)
    up = size / seconds(lambda: one.copy_(host, non_blocking=True), device, least=least)
    down = size / seconds(lambda: host.copy_(one, non_blocking=True), device, least=least)
    return Ceilings(copied, multiplied, up, down)


def demand(module: nn.Module, inputs: tuple[Tensor, ...]) -> Demand:
    """Count what a batch of one asks for; `inputs` lie where the module does."""
    moved = [0.0]

    def count(layer: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        moved[0] += sum(tensor.numel() * tensor.element_size() for tensor in (*given, made))
        del layer

    hooks = [layer.register_forward_hook(count) for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:  # inference mode hides convolutions from it
        outputs = module(*inputs)
    for hook in hooks:
        hook.remove()
    ends = (inputs[0], *(outputs if isinstance(outputs, tuple) else (outputs,)))
    planes = sum(tensor.numel() * tensor.element_size() for tensor in ends)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in module.parameters())
    return Demand(counter.get_total_flops(), planes, planes + moved[0], weights)
