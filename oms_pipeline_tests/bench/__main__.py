"""Runs the sections of the benchmark, prints their tables and writes JSON."""

from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.status import Status

from oms_pipeline.settings import PROJECT_DIR
from oms_pipeline_tests.bench import backfill, day, extraction, history
from oms_pipeline_tests.bench.report import Report, write_json

SECTIONS = {
    "extraction": extraction.measure,
    "day": day.measure,
    "backfill": backfill.measure,
    "history": history.measure,
}
STATE = PROJECT_DIR / ".oms"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("sections", nargs=-1, type=click.Choice(list(SECTIONS)))
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1), help="Rounds; figures are their medians.")
@click.option("--scale", default=1.0, show_default=True, help="Shrinks every size; 0.01 for a quick look.")
@click.option(
    "--json", "path", type=click.Path(path_type=Path), default=STATE / "bench.json", help="Where to write all."
)
@click.option(
    "--cache", type=click.Path(path_type=Path), default=STATE / "bench", help="Where simulated businesses are kept."
)
def main(sections: tuple[str, ...], runs: int, scale: float, path: Path, cache: Path) -> None:
    """Measure SECTIONS (all by default) side by side with their limits. The first time, businesses are simulated."""
    console = Console()
    reports: list[Report] = []
    with console.status("") as status:
        for section in sections or SECTIONS:
            report = SECTIONS[section](cache.resolve(), runs, scale, _teller(status, section))
            report.show(console)
            reports.append(report)
            write_json(path, reports, runs, scale)
    console.print(f"Everything measured is in {path}.")


def _teller(status: Status, section: str) -> Callable[[str], None]:
    return lambda text: status.update(f"{section}: {text}")


if __name__ == "__main__":
    main()
