"""Runs a TensorRT engine on torch tensors: on a stream of its own, with a CUDA graph for every size of batch.

An engine's inputs with a dynamic first dimension, and all its outputs, are batches. Batches are filled up to powers of
two, so few sizes are prepared. Every size has an execution context of its own, because a graph is valid only as long as
the context that it was captured from is left alone (NVIDIA's guide, "CUDA Graphs"); they share buffers and scratch
memory, which is sound because all of them run on one stream.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from streamcolor.backends.engines import Complaints
from streamcolor.errors import BackendError


class Device(Protocol):
    """Where an engine runs: a GPU, or what a test puts in its place."""

    name: torch.device
    stream: int  # the CUDA stream's handle

    def ordered(self) -> Any:
        """Return a context: work in it follows what the caller began before, and precedes what it begins later."""
        ...

    def captured(self, run: Callable[[], None]) -> Callable[[], None]:
        """Run once, and return something quick that does the same again."""
        ...


class Gpu:
    """The current CUDA device."""

    def __init__(self) -> None:
        self.name = torch.device("cuda", torch.cuda.current_device())
        # Never the default one: TensorRT would synchronize on it.
        self._stream = torch.cuda.Stream(self.name)  # type: ignore[no-untyped-call]
        self.stream = self._stream.cuda_stream

    @contextmanager
    def ordered(self) -> Iterator[None]:
        """See Device."""
        caller = torch.cuda.current_stream(self.name)
        self._stream.wait_stream(caller)
        with torch.cuda.stream(self._stream):
            yield
        caller.wait_stream(self._stream)

    def captured(self, run: Callable[[], None]) -> Callable[[], None]:
        """See Device. Capturing is this thread's own affair: decoders use the GPU in others meanwhile."""
        run()  # the first time may allocate, which a graph cannot hold
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            run()
        return graph.replay


class Session:
    """One engine, ready to run. Raises BackendError with TensorRT's own reasons."""

    def __init__(self, trt: Any, plan: bytes, device: Device) -> None:
        self._trt, self._device = trt, device
        self._complaints = Complaints(trt)
        self._runtime = trt.Runtime(self._complaints.logger)
        self._engine = self._not_none(self._runtime.deserialize_cuda_engine(plan), "cannot load the engine")
        engine = self._engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = {name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT}
        self._batches = {name for name in inputs if engine.get_tensor_shape(name)[0] == -1}
        self._largest = {name: self._largest_shape(name) for name in names if name in inputs}
        self.batch = min(self._largest[name][0] for name in self._batches)  # the most pictures at once
        self._scratch = self._empty((max(1, engine.device_memory_size_v2),), torch.uint8)
        self._buffers = {name: self._empty(shape, self._type(name)) for name, shape in self._largest.items()}
        context = self._context(self.batch)
        for name in names:
            if name not in inputs:
                self._buffers[name] = self._empty(tuple(context.get_tensor_shape(name)), self._type(name))
        self._runs: dict[int, Callable[[], None]] = {}  # by the size of the batch

    def __call__(self, **inputs: Tensor) -> Mapping[str, Tensor]:
        """Return the outputs, on the device and valid until the next call; inputs may lie anywhere.

        A ValueError says that an input does not have the engine's type or shape.
        """
        count = self._check(inputs)
        size = min(1 << (count - 1).bit_length(), self.batch)
        with self._device.ordered():
            for name, value in inputs.items():
                self._buffers[name][: len(value)].copy_(value, non_blocking=True)
            if size in self._runs:
                self._runs[size]()
            else:
                self._runs[size] = self._prepared(size)
        return {name: buffer[:count] for name, buffer in self._buffers.items() if name not in self._largest}

    def _check(self, inputs: Mapping[str, Tensor]) -> int:
        """Compare the inputs with the engine's, and return how many pictures there are."""
        if inputs.keys() != self._largest.keys():
            raise ValueError(f"the engine takes {', '.join(self._largest)}, not {', '.join(inputs)}")
        counts = {len(inputs[name]) for name in self._batches}
        for name, value in inputs.items():
            largest = self._largest[name]
            count = value.shape[0] if name in self._batches else largest[0]
            fits = value.shape == (count, *largest[1:]) and value.dtype == self._buffers[name].dtype
            if not fits or not 0 < count <= largest[0] or len(counts) != 1:
                buffer = self._buffers[name]
                raise ValueError(f"{name} is {value.dtype} {tuple(value.shape)}, not {buffer.dtype} up to {largest}")
        return counts.pop()

    def _prepared(self, size: int) -> Callable[[], None]:
        """Run with batches of this size for the first time, and return what runs them from now on."""
        context = self._context(size)
        for name, buffer in self._buffers.items():
            if not context.set_tensor_address(name, buffer.data_ptr()):
                raise self._complaints.error(f"TensorRT cannot use {name}")

        def run() -> None:
            if not context.execute_async_v3(self._device.stream):
                raise self._complaints.error("TensorRT failed")

        if self._captures_itself:
            run()
            return run
        return self._device.captured(run)

    def _context(self, size: int) -> Any:
        """Return a new execution context for batches of one size."""
        engine, strategy = self._engine, self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if self._captures_itself:
            config = engine.create_runtime_config()
            config.set_execution_context_allocation_strategy(strategy)
            config.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
            context = engine.create_execution_context(config)
        else:
            context = engine.create_execution_context(strategy)
        context = self._not_none(context, "cannot prepare the engine")
        context.set_device_memory(self._scratch.data_ptr(), len(self._scratch))
        for name, largest in self._largest.items():
            shape = (size, *largest[1:]) if name in self._batches else largest
            if not context.set_input_shape(name, shape):
                raise self._complaints.error(f"TensorRT does not take {name} of shape {shape}")
        return context

    def _largest_shape(self, name: str) -> tuple[int, ...]:
        if name in self._batches:
            return tuple(self._engine.get_tensor_profile_shape(name, 0)[2])
        return tuple(self._engine.get_tensor_shape(name))

    @property
    def _captures_itself(self) -> bool:
        """TensorRT-RTX makes CUDA graphs by itself."""
        return bool(self._trt.__name__ == "tensorrt_rtx")

    def _type(self, name: str) -> torch.dtype:
        kind = self._engine.get_tensor_dtype(name)
        types = {"FLOAT": torch.float32, "HALF": torch.float16, "UINT8": torch.uint8}
        if kind.name not in types:
            raise BackendError(f"the engine's {name} is {kind.name}, not {', '.join(types)}")
        return types[kind.name]

    def _empty(self, shape: tuple[int, ...], kind: torch.dtype) -> Tensor:
        try:
            return torch.empty(shape, dtype=kind, device=self._device.name)
        except RuntimeError as error:
            size = torch.Size(shape).numel() * kind.itemsize / 1e6
            raise BackendError(f"no {size:.0f} MB of memory left on {self._device.name}") from error

    def _not_none(self, made: Any, attempt: str) -> Any:
        if made is None:
            raise self._complaints.error(f"TensorRT {attempt}")
        return made
