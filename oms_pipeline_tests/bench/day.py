"""One day from the OMS to the marts in a cold process, against the sum of what it cannot do without."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from oms_pipeline_tests.bench.business import FIRST_DAY, Home, day_queries, live, open_source
from oms_pipeline_tests.bench.measure import Piece, Sample, middle, ratio, take_turns
from oms_pipeline_tests.bench.report import Comparison, Report

ORDERS_PER_DAY = 1_000
DAYS_BEFORE = 60
NEEDED = ("imports", "COPY", "Parquet", "SQL")


def measure(cache: Path, runs: int, scale: float, tell: Callable[[str], None]) -> Report:
    """Measures the section."""
    orders, before = max(round(ORDERS_PER_DAY * scale), 10), max(round(DAYS_BEFORE * scale), 5)
    source = open_source(
        cache / f"day-{orders}x{before}", lambda source: live(source, orders, days=before + 1, tell=tell)
    )
    home = Home(source, "day", FIRST_DAY)
    last, day = FIRST_DAY + dt.timedelta(days=before - 1), FIRST_DAY + dt.timedelta(days=before)
    keep_day(home, last, day, tell)
    samples = take_turns([day_piece(home, "oms run", day), *needed_pieces(home, day)], runs, tell)
    return Report(
        "day",
        f"day: one day of {orders:,} orders after {before} days, cold process",
        samples,
        [
            Comparison("oms run", middle(samples["oms run"]), "s", 12),
            Comparison(
                f"oms run : sum of {', '.join(NEEDED)}",
                ratio(samples, lambda s: s["oms run"].seconds, lambda s: sum(s[name].seconds for name in NEEDED)),
                "×",
                1.5,
            ),
        ],
        breakdown=breakdown(samples["oms run"])
        | {"(of SQL's bare work, tests)": middle(samples["SQL"], lambda sample: sample.facts["tests_seconds"])},
    )


def keep_day(home: Home, last: dt.date, day: dt.date, tell: Callable[[str], None]) -> None:
    """Keeps three states: `before` the day, the day `registered`, and beside it the statements that build it."""

    def load() -> None:
        tell(f"loading {home.first_day} to {last}")
        home.do("parse_project")
        home.do("run_oms", arguments=["backfill", "--from", f"{home.first_day}", "--to", f"{last}"])

    home.keep("before", load)
    keep_registered(home, "before", day, day, ["run", "--day", f"{day}"], tell)


def keep_registered(
    home: Home, state: str, first: dt.date, last: dt.date, command: Sequence[str], tell: Callable[[str], None]
) -> None:
    """Keeps the state in which the days are landed and registered, with the statements of the command that builds them."""

    def register() -> None:
        tell(f"recording the SQL of {first} to {last}")
        home.restore(state)
        home.do("register_days", first=first.isoformat(), last=last.isoformat())

    def record() -> None:
        home.restore("registered")
        home.do("run_oms", arguments=list(command), record=str(home.folder / "statements.json"))
        recorded = (home.folder / "statements.json").read_text()
        home.restore("registered")
        (home.folder / "statements.json").write_text(recorded)

    home.keep("registered", register)
    home.keep("recorded", record)


def day_piece(home: Home, name: str, day: dt.date) -> Piece:
    """The day, as a run of its own."""
    return home.piece(name, "before", "run_oms", arguments=["run", "--day", day.isoformat()])


def needed_pieces(home: Home, day: dt.date) -> list[Piece]:
    """What a day cannot do without, each by itself."""
    return [
        home.piece("imports", "recorded", "bare_imports"),
        home.piece("COPY", "recorded", "copy_to_nowhere", dsn=home.source.dsn, queries=day_queries(day)),
        home.piece(
            "Parquet",
            "recorded",
            "bare_parquet",
            folder=str(home.folder / f"raw/year={day:%Y}/month={day:%m}/day={day:%d}"),
        ),
        sql_piece(home, "SQL"),
    ]


def sql_piece(home: Home, name: str) -> Piece:
    """The statements of the models alone."""
    statements = str(home.folder / "statements.json")
    return home.piece(name, "recorded", "bare_sql", database=str(home.database), statements=statements)


def breakdown(samples: Sequence[Sample]) -> Mapping[str, float]:
    """Part of a run → median seconds; the parts are the whole."""

    def parts(sample: Sample) -> Mapping[str, float]:
        spent, steps = sample.facts["parts"], sample.facts["steps"]
        nodes = sum(sample.facts["layers"].values())
        return {
            "start of Python": spent["start of Python"],
            "imports": spent["imports"],
            "definitions": spent["definitions"],
            "raw": steps["raw"],
            "external": steps["external"],
            "transform: models": nodes - sample.facts["layers"].get("tests", 0.0),
            "transform: tests": sample.facts["layers"].get("tests", 0.0),
            "transform: dbt itself": spent["dbt"] - nodes,
            "transform: the rest": steps["transform"] - spent["dbt"],
            "event log": spent["event log"],
            "rest of Dagster": spent["command"] - sum(steps.values()) - spent["event log"],
            "end of Python": sample.seconds
            - spent["start of Python"]
            - spent["imports"]
            - spent["definitions"]
            - spent["command"],
        }

    found = [parts(sample) for sample in samples]
    return {part: median(each[part] for each in found) for part in found[0]}
