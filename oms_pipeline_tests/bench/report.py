"""What was measured, as tables for people and JSON for machines. Measures nothing."""

import datetime as dt
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from oms_pipeline_tests.bench.measure import Samples, middle


@dataclass(frozen=True)
class Comparison:
    """One figure beside its target.

    Attributes:
        what: What is compared with what.
        value: What was measured.
        unit: Its unit, such as `×` or `MB`.
        limit: What was aimed at.
        at_least: Whether more is better.
    """

    what: str
    value: float
    unit: str
    limit: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the target is met."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def target(self) -> str:
        """The target as text."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:,g} {self.unit}"


@dataclass(frozen=True)
class Report:
    """What one section found.

    Attributes:
        name: The section.
        about: What was measured, with its sizes.
        samples: Samples by piece.
        comparisons: Figures beside their targets.
        breakdown: Part → median seconds, where a whole is made of parts.
    """

    name: str
    about: str
    samples: Samples
    comparisons: Sequence[Comparison]
    breakdown: Mapping[str, float] = field(default_factory=dict)

    def show(self, console: Console) -> None:
        """Prints the tables."""
        table = Table("piece", "wall", "fastest to slowest", "CPU", "server's CPU", "peak", title=self.about)
        for column in table.columns[1:]:
            column.justify = "right"
        for name, samples in self.samples.items():
            seconds = [sample.seconds for sample in samples]
            server = middle(samples, lambda sample: sample.server_cpu)
            table.add_row(
                name,
                f"{middle(samples):.2f} s",
                f"{min(seconds):.2f} to {max(seconds):.2f}",
                f"{middle(samples, lambda sample: sample.cpu):.2f} s",
                f"{server:.2f} s" if server else "–",
                f"{middle(samples, lambda sample: sample.peak_mb):.0f} MB",
            )
        console.print(table)
        if self.breakdown:
            parts = Table("part", "wall", title=f"{self.name}: where the time goes")
            parts.columns[1].justify = "right"
            for part, value in self.breakdown.items():
                parts.add_row(part, f"{value:.2f} s")
            console.print(parts)
        found = Table("compared", "measured", "target", "", title=f"{self.name}: beside the targets")
        found.columns[1].justify = found.columns[2].justify = "right"
        for row in self.comparisons:
            found.add_row(
                row.what, f"{row.value:,.2f} {row.unit}", row.target, "holds" if row.holds else "[yellow]missed[/]"
            )
        console.print(found, "")

    def as_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "section": self.name,
            "about": self.about,
            "pieces": {name: [asdict(sample) for sample in samples] for name, samples in self.samples.items()},
            "breakdown": dict(self.breakdown),
            "comparisons": [{**asdict(row), "target": row.target, "holds": row.holds} for row in self.comparisons],
        }


def write_json(path: Path, reports: Sequence[Report], runs: int, scale: float) -> None:
    """Writes all reports, with what is known of the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "measured_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "runs": runs,
        "scale": scale,
        "machine": {
            "processors": os.cpu_count(),
            "load": os.getloadavg(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "sections": [report.as_json() for report in reports],
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
