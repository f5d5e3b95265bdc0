"""Measures pieces of work, each in a process of its own, taking turns. Knows nothing of what they do."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from oms_pipeline.settings import PROJECT_DIR


@dataclass(frozen=True)
class Piece:
    """Something to measure.

    Attributes:
        name: What it is called in the report.
        function: Name of a function in `pieces`.
        arguments: Its arguments, as JSON can carry them.
        environment: Variables of its process, besides this one's.
        prepare: Brings everything into the state the piece starts from; not measured.
        examine: Looks at what the piece has made, for more facts; not measured.
        server: Process id of the PostgreSQL postmaster whose work for the piece counts too.
    """

    name: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], object] = lambda: None
    examine: Callable[[], Mapping[str, Any]] = dict
    server: int | None = None


@dataclass(frozen=True)
class Sample:
    """One measurement of a piece.

    Attributes:
        seconds: Wall time: of what the piece itself timed, else of its whole process.
        cpu: Processor time of the same, user and system.
        server_cpu: Processor time PostgreSQL spent on it; 0 where it is not watched.
        peak_mb: Most memory its process held, in megabytes of 10⁶ bytes.
        facts: What else the piece has to say.
    """

    seconds: float
    cpu: float
    server_cpu: float
    peak_mb: float
    facts: Mapping[str, Any]


Samples = Mapping[str, Sequence[Sample]]


def take_turns(pieces: Sequence[Piece], runs: int, tell: Callable[[str], None]) -> Samples:
    """Measures every piece once, then every piece again: what disturbs the machine disturbs neighbours alike.

    Args:
        pieces: What to measure, in order.
        runs: How often.
        tell: Called with a line for each measurement.

    Returns:
        Name of a piece → its samples, one per round.
    """
    samples: dict[str, list[Sample]] = {piece.name: [] for piece in pieces}
    for turn in range(runs):
        for piece in pieces:
            piece.prepare()
            sample = run_piece(piece)
            samples[piece.name].append(sample)
            tell(
                f"{turn + 1}/{runs} {piece.name}: {sample.seconds:.2f} s, CPU {sample.cpu:.2f}"
                f" + {sample.server_cpu:.2f} s, {sample.peak_mb:.0f} MB, load {os.getloadavg()[0]:.1f}"
            )
    return samples


def run_piece(piece: Piece) -> Sample:
    """Measures a piece once.

    Raises:
        RuntimeError: Its process failed; the text is the end of what it printed.
    """
    with tempfile.TemporaryDirectory(prefix="oms-bench-") as folder:
        result, output = Path(folder, "result.json"), Path(folder, "output.txt")
        command = [sys.executable, "-m", "oms_pipeline_tests.bench.worker", piece.function]
        server_before = _server_cpu(piece.server)
        with output.open("wb") as out:
            started = time.time()
            process = subprocess.Popen(
                [*command, json.dumps(piece.arguments), str(result), str(started)],
                cwd=PROJECT_DIR,
                env={**os.environ, **piece.environment},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.time() - started
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0 or not result.exists():
            raise RuntimeError(f"{piece.name} failed:\n{output.read_text(errors='replace')[-4000:]}")
        facts = json.loads(result.read_text())
    return Sample(
        seconds=facts.pop("seconds", seconds),
        cpu=facts.pop("cpu", usage.ru_utime + usage.ru_stime),
        server_cpu=_server_cpu(piece.server) - server_before,
        peak_mb=facts.pop("peak_mb"),
        facts={**facts, "process_seconds": seconds, "ended_at": started + seconds, **piece.examine()},
    )


def middle(samples: Sequence[Sample], value: Callable[[Sample], float] = lambda sample: sample.seconds) -> float:
    """The median of something over samples."""
    return median(value(sample) for sample in samples)


def ratio(
    samples: Samples,
    above: Callable[[Mapping[str, Sample]], float],
    below: Callable[[Mapping[str, Sample]], float],
) -> float:
    """The median of the rounds' own ratios.

    Args:
        samples: Samples by piece.
        above: The numerator, from one round's samples by piece.
        below: The denominator, likewise.
    """
    rounds = [dict(zip(samples, turn, strict=True)) for turn in zip(*samples.values(), strict=True)]
    return median(above(turn) / below(turn) for turn in rounds)


def _server_cpu(postmaster: int | None) -> float:
    """What the server's ended sessions have cost so far; the postmaster inherits it from each when it ends."""
    if postmaster is None:
        return 0.0
    server = psutil.Process(postmaster)
    while any("[local]" in " ".join(child.cmdline()) for child in server.children()):
        time.sleep(0.02)
    times = server.cpu_times()
    return float(times.children_user + times.children_system)
