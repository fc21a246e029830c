"""One benchmark from beginning to end, which can be stopped on the way."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

from streamcolor.backends import Backend, default_threads, open_backend
from streamcolor.bench import clip as clips
from streamcolor.bench.compare import differences, open_all, prediction
from streamcolor.bench.measure import Cost, Others, cost_of, interleaved, machine, ratio, run, spread
from streamcolor.bench.pipeline import Output, Pipeline
from streamcolor.bench.stages import Sample, Stages
from streamcolor.bench.summary import summarized
from streamcolor.errors import ConfigError, SinkError
from streamcolor.sinks.encoders import encoder_options, find_encoder
from streamcolor.sinks.plain import decode, transcode
from streamcolor.sources.av_source import decoding_threads
from streamcolor.urls import shown
from streamcolor.worker import usable_cores

ROUNDS: Final = 3
Watch: TypeAlias = Callable[[str, float], None]  # what comes now, and how much is done, 0 to 1


class Stopped(Exception):  # noqa: N818  # it says what happened; never seen outside
    """Somebody asked to stop."""


@dataclass(frozen=True)
class Options:
    """What is measured. Raises ConfigError."""

    source: str | None = None  # a video; None: a clip that is made up
    _: KW_ONLY
    model: str = "tiny"
    backend: str = "auto"  # or "all", to compare them
    batch: int | None = None  # None: what suits the backend
    size: str | None = None  # None: the video's own, 720p of a clip that is made up
    codec: str = "libx264"
    preset: str = "veryfast"
    seconds: float = 10.0
    streams: int = 1  # cameras at once, for the delay
    rounds: int = ROUNDS

    def __post_init__(self) -> None:
        if problems := "; ".join(self._problems()):
            raise ConfigError(problems)
        if self.size is not None:
            clips.size_named(self.size)

    def _problems(self) -> Iterator[str]:
        if not 3 <= self.seconds <= 3600:
            yield f"seconds is {self.seconds:g}: choose 3 to 3600"
        for name, value, most in (("batch", self.batch, 256), ("streams", self.streams, 256)):
            if value is not None and not 1 <= value <= most:
                yield f"{name} is {value}: choose 1 to {most}"


@dataclass
class Bench:
    """A benchmark. `stop` may be called from a signal handler."""

    options: Options
    watch: Watch = lambda *_: None
    stopped: bool = False
    _pipelines: list[Pipeline] = field(default_factory=list)
    _done: int = 0
    _steps: int = 1

    def stop(self) -> None:
        """Ask `run` to end soon. Takes no lock."""
        self.stopped = True
        for pipeline in self._pipelines:
            pipeline.stop()

    def run(self) -> dict[str, Any] | None:
        """Measure; None after a stop. Raises StreamcolorError."""
        options = self.options
        find_encoder(options.codec)
        with TemporaryDirectory(prefix="streamcolor-bench-") as folder, ExitStack() as stack:
            try:
                return self._run(Output(Path(folder), options.codec, options.preset), stack)
            except Stopped:
                return None

    def _run(self, output: Output, stack: ExitStack) -> dict[str, Any]:
        options = self.options
        every = options.backend == "all"
        self._steps = 3 + (10 + 12 * every) * options.rounds
        self._step("the network is loaded")
        backend = open_backend("auto" if every else options.backend, options.model)
        stack.callback(backend.close)
        self._step("the clip is made")
        clip = output.folder / "clip.mp4"
        sample = Sample.of(clip, self._make(clip))
        pipeline = self._pipeline(backend, clip, output)
        result = self._facts(sample, backend) | self._file(sample, backend, pipeline, output)
        self._step(f"{options.streams} live: {options.seconds:g} s")
        result["live"] = pipeline.color_live(options.streams, seconds=sample.length / float(sample.info.rate))
        self._step("memory")
        result["peak_mb"] = self._peak(clip, output, backend)
        if every:
            result["backends"] = self._compare(sample, output, stack)
        return summarized(result)

    def _facts(self, sample: Sample, backend: Backend) -> dict[str, Any]:
        """Return what was measured on, and with which settings."""
        options, info = self.options, sample.info
        source = "made up" if options.source is None else Path(shown(options.source)).name
        rate = round(float(info.rate), 3)
        return {
            "machine": machine(),
            "clip": {"source": source, "size": [info.width, info.height], "frames": sample.length, "rate": rate},
            "network": {"name": backend.network.name, "precision": backend.network.precision, "backend": backend.name},
            "encoder": {"codec": options.codec, "preset": options.preset},
            "threads": {"decoder": decoding_threads(), "network": default_threads(), "encoder": usable_cores()},
            "rounds": options.rounds,
        }

    def _file(self, sample: Sample, backend: Backend, pipeline: Pipeline, output: Output) -> dict[str, Any]:
        """Return what a file costs: the limit, the whole, and each stage."""
        clip, frames = sample.clip, sample.length
        wholes = {
            "decode": lambda: cost_of(lambda: decode(clip, self._halted)),
            "transcode": lambda: cost_of(lambda: self._transcode(clip, output)),
            "streamcolor": pipeline.color_file,
        }
        stages = Stages(sample, backend, lambda: output.sink("stage"), batch=self.options.batch).works()
        others = Others()
        costs = self._rounds(wholes | {f"{name} alone": work for name, work in stages.items()})
        share, counts = others.share(), pipeline.counts
        limit, ours = costs["transcode"], costs["streamcolor"]
        return {
            "others": None if share is None else round(share, 3),
            "runs": {name: _per_frame(costs[name], frames) for name in wholes},
            "stages": {name: _per_frame(costs[f"{name} alone"], 1) for name in stages},
            "predicted": round(1 - (counts.reused + counts.kept) / max(counts.frames, 1), 3),
            "limit_over_ours": {what: ratio(ours, limit, what) for what in ("cpu", "wall")},
        }

    def _compare(self, sample: Sample, output: Output, stack: ExitStack) -> dict[str, Any]:
        opened, failed = open_all(self.options.model, stack)
        works: dict[str, Callable[[], Cost]] = {}
        for name, backend in opened.items():
            works[f"{name}, network"] = prediction(backend, sample)
            works[f"{name}, whole"] = self._pipeline(backend, sample.clip, output).color_file
        costs = self._rounds(works)
        apart = differences(opened, sample)
        found: dict[str, Any] = {
            name: {
                "network": _per_frame(costs[f"{name}, network"], 1),
                "streamcolor": _per_frame(costs[f"{name}, whole"], sample.length),
                "ciede2000": apart.get(name),
            }
            for name in opened
        }
        return found | {name: {"failed": why} for name, why in failed.items()}

    def _rounds(self, works: Mapping[str, Callable[[], Cost]]) -> dict[str, list[Cost]]:
        rounds = Counter[str]()

        def step(name: str, work: Callable[[], Cost]) -> Cost:
            rounds[name] += 1
            self._step(f"round {rounds[name]} of {self.options.rounds}: {name}")
            cost = work()
            self._check()
            return cost

        return interleaved({name: partial(step, name, work) for name, work in works.items()}, self.options.rounds)

    def _make(self, clip: Path) -> int:
        options = self.options
        size = None if options.size is None else clips.size_named(options.size)
        if options.source is None:
            size = size or clips.SIZES["720p"]
            frames = clips.make_up(clip, seconds=options.seconds, size=size, halted=self._halted)
        else:
            frames = clips.take(options.source, clip, seconds=options.seconds, size=size, halted=self._halted)
        self._check()
        return frames

    def _pipeline(self, backend: Backend, clip: Path, output: Output) -> Pipeline:
        self._pipelines.append(Pipeline(backend, clip, output, batch=self.options.batch))
        return self._pipelines[-1]

    def _transcode(self, clip: Path, output: Output) -> None:
        options = encoder_options(find_encoder(output.codec), crf=18, preset=output.preset, options={})
        transcode(clip, output.folder / "plain.mkv", codec=output.codec, options=options, halted=self._halted)

    def _peak(self, clip: Path, output: Output, backend: Backend) -> int:
        """Return the peak memory of a program that does nothing else, in MB."""
        options = self.options
        command = [sys.executable, "-m", "streamcolor", "run", str(clip), str(output.folder / "peak.mkv"), "-y", "-q"]
        chosen = ["--model", options.model, "--backend", backend.name]
        try:
            cost = run([*command, *chosen, "--codec", options.codec, "--preset", options.preset])
        except subprocess.CalledProcessError as error:
            self._check()  # Ctrl-C reaches it too
            raise SinkError(f"`streamcolor run` failed: {error.stderr.strip()}") from error
        return round(cost.peak)

    def _halted(self) -> bool:
        return self.stopped

    def _check(self) -> None:
        if self.stopped:
            raise Stopped

    def _step(self, name: str) -> None:
        self._check()
        self.watch(name, min(1.0, self._done / self._steps))
        self._done += 1


def _per_frame(costs: list[Cost], frames: int) -> dict[str, dict[str, float]]:
    """Return milliseconds a frame."""
    return {what: spread(getattr(cost, what) / frames * 1000 for cost in costs) for what in ("wall", "cpu")}
