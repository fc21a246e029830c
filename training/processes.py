"""The processes that share a training run: one, or as many as `torchrun` started, on a GPU each or on the CPU."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


def _device() -> torch.device:
    """Return this process's GPU, or the CPU."""
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if torch.cuda.is_available() else _CPU


_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Process:
    """One of `count` processes that do the same steps, each on its share of the samples."""

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=_device)

    @property
    def first(self) -> bool:
        """Tell whether this is the one that writes files."""
        return self.rank == 0

    def shared(self, network: nn.Module) -> nn.Module:
        """Return `network` with its gradients averaged over all processes; its weights become those of the first."""
        return DistributedDataParallel(network) if self.count > 1 else network

    def total(self, tensor: Tensor) -> Tensor:
        """Return the sum over all processes. Each must call it."""
        summed = tensor.clone().to(self.device)
        if self.count > 1:
            distributed.all_reduce(summed)
        return summed.cpu()

    def any(self, *, told: bool) -> bool:
        """Tell whether one of the processes says so; all get the same answer. Each must call it."""
        return bool(self.total(torch.tensor(float(told))))


@contextmanager
def joined() -> Iterator[Process]:
    """Join the processes that `torchrun` started, or be the only one."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    device = _device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True  # samples are all of one size
    if count == 1:
        yield Process(device=device)
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Process(distributed.get_rank(), count, device)
    finally:
        distributed.destroy_process_group()
