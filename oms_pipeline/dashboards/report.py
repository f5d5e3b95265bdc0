"""The local report: every dashboard as one HTML file that needs no network. Reads rows; decides nothing about cards."""

import base64
import datetime as dt
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from oms_pipeline.dashboards.charts import VEGA_LITE, Axis, axis_of, chart_spec
from oms_pipeline.dashboards.columns import check_columns
from oms_pipeline.dashboards.data import Query, Rows, Scope, columns_of, encoded, read_rows, read_scope
from oms_pipeline.dashboards.definition import REPORT_DAYS, Card, Chart, Dashboard

PERIODS: Final = (7, 28, 91)
DEFAULT_PERIOD: Final = 28
_HERE: Final = Path(__file__).parent
_SLOT: Final = re.compile(r"\{(policy|style|data|library|script)\}")


@dataclass(frozen=True)
class Report:
    """A report as written.

    Attributes:
        path: The file.
        scope: Up to when its data goes.
        rows: Dashboard → rows it holds.
        bytes: Size of the file.
    """

    path: Path
    scope: Scope
    rows: Mapping[str, int]
    bytes: int


def write_report(dashboards: Sequence[Dashboard], query: Query, path: Path) -> Report:
    """Reads what the dashboards need and writes the page, whole or not at all.

    Args:
        dashboards: What to show, in order.
        query: Asks the warehouse.
        path: The file to write.

    Raises:
        DashboardError: A data set lacks a column, or nothing has been loaded yet.
        WarehouseError: A data set cannot be read.
    """
    check_columns(dashboards)
    scope = read_scope(query)
    rows = {dashboard.name: read_rows(dashboard, query, scope.through) for dashboard in dashboards}
    html = page(dashboards, rows, scope, dt.datetime.now(dt.UTC), chart_library(path.parent))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(html, encoding="utf-8")
    draft.replace(path)
    counts = {name: sum(each.table.num_rows for each in read.values()) for name, read in rows.items()}
    return Report(path, scope, counts, len(html.encode()))


def page(
    dashboards: Sequence[Dashboard],
    rows: Mapping[str, Mapping[str, Rows]],
    scope: Scope,
    now: dt.datetime,
    library: str,
) -> str:
    """The page.

    Args:
        dashboards: What to show, in order.
        rows: Dashboard → data set → rows.
        scope: Up to when the data goes.
        now: When it is drawn, UTC.
        library: The JavaScript that draws charts.
    """
    content = {
        "through": scope.through.isoformat(),
        "first": (scope.through - dt.timedelta(days=REPORT_DAYS - 1)).isoformat(),
        "loaded_at": scope.loaded_at.isoformat(" ", timespec="minutes"),
        "drawn_at": now.strftime("%Y-%m-%d %H:%M"),
        "currency": scope.currency,
        "periods": PERIODS,
        "period": DEFAULT_PERIOD,
        "days": REPORT_DAYS,
        "rows": sum(each.table.num_rows for read in rows.values() for each in read.values()),
        "dashboards": [_dashboard(dashboard, rows[dashboard.name]) for dashboard in dashboards],
    }
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    parts = {
        "style": (_HERE / "page.css").read_text(encoding="utf-8"),
        # Inside a script element only `<` could end it; in JSON it can be written otherwise.
        "data": json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
        "library": library,
        "script": script,
        "policy": _policy(library, script),
    }
    return _SLOT.sub(lambda slot: parts[slot[1]], (_HERE / "page.html").read_text(encoding="utf-8"))


def chart_library(folder: Path) -> str:
    """Vega, Vega-Lite and their embedding as one script; bundled once per version, which takes seconds, then kept.

    Args:
        folder: Where to keep it.
    """
    path = folder / "charts" / f"vega-lite-{VEGA_LITE}-{version('vl-convert-python')}.js"
    if not path.exists():
        import vl_convert

        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        bundle = vl_convert.javascript_bundle(None, VEGA_LITE)  # type: ignore[arg-type]  # all of them
        draft.write_text(bundle.replace("</script", "<\\/script"), encoding="utf-8")
        draft.replace(path)
    return path.read_text(encoding="utf-8")


def _dashboard(dashboard: Dashboard, rows: Mapping[str, Rows]) -> dict[str, Any]:
    datasets: dict[str, Any] = {}
    for dataset in dashboard.datasets:
        read = rows[dataset.name]
        datasets[dataset.name] = {
            **encoded(read, columns_of(dashboard, dataset)[1]),
            "filters": dict(dataset.filters),
            "first": read.first.isoformat() if read.first is not None else None,
            "cut": read.is_cut,
        }
    return {
        "name": dashboard.name,
        "title": dashboard.title,
        "question": dashboard.question,
        "filters": [asdict(each) for each in dashboard.filters],
        "datasets": datasets,
        "cards": [_card(card, datasets[card.dataset.name]["columns"]) for card in dashboard.cards],
    }


def _card(card: Card, columns: Mapping[str, Any]) -> dict[str, Any]:
    axis = axis_of(columns[card.dimensions[0]]["distinct"]) if card.dimensions else Axis.VALUES
    return {
        "name": card.name,
        "title": card.title,
        "question": card.question,
        "dataset": card.dataset.name,
        "dimensions": card.dimensions,
        "measures": [asdict(measure) for measure in card.measures],
        "chart": card.chart,
        "place": asdict(card.place),
        "limit": card.limit,
        "newest_first": card.newest_first,
        "axis": axis,
        "spec": None if card.chart in (Chart.NUMBER, Chart.TABLE) else chart_spec(card, axis),
    }


def _policy(*scripts: str) -> str:
    """Nothing is fetched, and no script runs but the two that are meant to."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
