"""Looks at each part before a run does: one finding per part, with its remedy. Leaves nothing behind."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from oms_pipeline import alerts
from oms_pipeline.contract import Table
from oms_pipeline.errors import OmsError
from oms_pipeline.raw import RawZone
from oms_pipeline.settings import Settings, describe_dsn
from oms_pipeline.source import PostgresSource
from oms_pipeline.source.drift import check_columns

if TYPE_CHECKING:  # dbt takes seconds to import
    from oms_pipeline.transform import DbtProjectFiles
    from oms_pipeline.warehouse import Warehouse


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One line of `oms check`.

    Attributes:
        part: What was looked at.
        level: How it is.
        text: What was found, and the remedy where there is something to mend.
    """

    part: str
    level: Level
    text: str


def check_setup(
    settings: Settings,
    contract: Mapping[str, Table],
    make_source: Callable[[Settings], PostgresSource],
    zone: RawZone,
    warehouse: "Warehouse",
    project: "DbtProjectFiles",
) -> Iterator[Finding]:
    """Looks at settings, source, raw zone, warehouse, dbt, mail and where dashboards are, in this order.

    Args:
        settings: The environment.
        contract: The OMS tables.
        make_source: Gives the source; called only here, since it may have to start the sample OMS.
        zone: The raw zone.
        warehouse: The warehouse.
        project: The dbt project.

    Yields:
        A finding per part, as soon as it is known.
    """
    place = "the sample OMS" if settings.uses_sample else describe_dsn(settings.source_url or "")
    yield Finding(
        "settings",
        Level.OK,
        f"profile {settings.profile}, source {place}, first day {settings.start_date}, {settings.timezone.key}",
    )
    yield from _source(settings, contract, make_source)
    yield from _raw_zone(settings, zone)
    yield _attempt("warehouse", warehouse.check)
    yield _attempt("dbt", lambda: project.manifest and "the project parses")
    yield _attempt("mail", lambda: alerts.check(settings))
    yield from _dashboards(settings)


def _source(
    settings: Settings, contract: Mapping[str, Table], make_source: Callable[[Settings], PostgresSource]
) -> Iterator[Finding]:
    try:
        with make_source(settings).connect() as session:
            version = session.execute("select current_setting('server_version') as version")[0]["version"]
            yield Finding("source", Level.OK, f"PostgreSQL {version} answers, read-only session")
            new = check_columns(contract, session.columns(), settings.source_schema)
            known = ", ".join(f"{table}.{column}" for table, columns in new.items() for column in columns)
            yield Finding(
                "source columns",
                Level.WARNING if new else Level.OK,
                f"new at the source: {known}. They are landed; to use them, add them to _oms__sources.yml"
                if new
                else f"{len(contract)} tables match the contract",
            )
            writable = session.writable_tables()
            yield Finding(
                "source role",
                Level.WARNING if writable else Level.OK,
                f"may write to {len(writable)} tables. Use a role that has only SELECT: "
                f"create role oms_reader login; grant usage on schema {settings.source_schema} to oms_reader; "
                f"grant select on all tables in schema {settings.source_schema} to oms_reader; "
                "grant pg_read_all_stats to oms_reader"
                if writable
                else "may only read",
            )
            indexes = session.missing_indexes(list(contract.values()))
            yield Finding(
                "source indexes",
                Level.WARNING if indexes else Level.OK,
                f"a day is read by scanning whole tables. Run: {'; '.join(indexes)}"
                if indexes
                else "every cursor has its index",
            )
    except OmsError as error:
        yield Finding("source", Level.FAILED, str(error))


def _raw_zone(settings: Settings, zone: RawZone) -> Iterator[Finding]:

    def written() -> str:
        zone.store.check()
        return f"{settings.raw_url} is writable"

    finding = _attempt("raw zone", written)
    yield finding
    if finding.level is Level.OK and (safety := zone.store.safety()) is not None:
        is_safe, text = safety
        yield Finding("raw zone versions", Level.OK if is_safe else Level.WARNING, text)


def _dashboards(settings: Settings) -> Iterator[Finding]:
    from oms_pipeline.dashboards import metabase  # takes half a second to import, and most have none

    if settings.publish_url is not None:
        yield _attempt("publication", metabase.publication(settings, settings.publish_url).check)
    if (server := settings.metabase) is not None:
        yield _attempt("metabase", lambda: metabase.check(server))


def _attempt(part: str, action: Callable[[], object]) -> Finding:
    try:
        return Finding(part, Level.OK, str(action()))
    except OmsError as error:
        return Finding(part, Level.FAILED, str(error))
