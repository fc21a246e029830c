"""Runs a module as CUDA graphs, one for each size of batch: launching its kernels takes longer than running them."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

Outputs: TypeAlias = Tensor | tuple[Tensor, ...]
Capture: TypeAlias = Callable[[Callable[[], Outputs]], tuple[Outputs, Callable[[], None]]]


def captured(run: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
    """Return the outputs of `run`, as yet empty, and what fills them again and again: a CUDA graph."""
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.backends.cudnn.flags(enabled=True, benchmark=True):
        with torch.cuda.stream(stream):
            run()  # tries kernels and allocates, which a graph cannot hold
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads use the GPU meanwhile
            outputs = run()
    return outputs, graph.replay


class Replayed:
    """A module, called through what was captured of it. One thread at a time may use it.

    Batches are filled up to powers of two, so that few sizes are captured.
    """

    def __init__(self, module: nn.Module, *, capture: Capture = captured) -> None:
        self._module, self._capture = module, capture
        self._device = next(module.parameters()).device
        self._kept: dict[tuple[int, ...], tuple[list[Tensor], Outputs, Callable[[], None]]] = {}

    def __call__(self, batch_N: Tensor, *settings: Tensor) -> tuple[Tensor, ...]:
        """Return what the module makes of a batch and settings, from wherever they lie.

        The outputs lie on the module's device and are valid until the next call.
        """
        count = len(batch_N)
        key = (1 << (count - 1).bit_length(), *batch_N.shape[1:])
        if key not in self._kept:
            held = [torch.zeros(key, dtype=batch_N.dtype, device=self._device)]
            held += [torch.zeros_like(setting, device=self._device) for setting in settings]
            self._kept[key] = (held, *self._capture(lambda: self._module(*held)))
        held, outputs, replay = self._kept[key]
        held[0][:count].copy_(batch_N, non_blocking=True)
        for place, setting in zip(held[1:], settings, strict=True):
            place.copy_(setting, non_blocking=True)
        replay()
        return tuple(output[:count] for output in (outputs if isinstance(outputs, tuple) else (outputs,)))
