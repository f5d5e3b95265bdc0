"""dbt's exposures name what each dashboard reads, so that its lineage ends where Dagster's does."""

from typing import Any

import yaml

from oms_pipeline.dashboards import load_dashboards
from oms_pipeline.transform import DBT_PROJECT_DIR

EXPOSURES = DBT_PROJECT_DIR / "models" / "exposures.yml"


def expected() -> dict[str, Any]:
    return {
        "version": 2,
        "exposures": [
            {
                "name": dashboard.name,
                "label": dashboard.title,
                "type": "dashboard",
                "maturity": "high",
                "description": dashboard.question,
                "owner": {"name": "data"},
                "depends_on": [
                    f"ref('{relation.removeprefix('marts.')}')"
                    for relation in dashboard.relations
                    if relation.startswith("marts.")
                ],
            }
            for dashboard in load_dashboards()
            if any(relation.startswith("marts.") for relation in dashboard.relations)
        ],
    }


def test_the_exposures_are_those_of_the_dashboards() -> None:
    wanted = yaml.safe_dump(expected(), sort_keys=False, width=120)
    found = yaml.safe_load(EXPOSURES.read_text(encoding="utf-8"))
    assert found == expected(), f"A dashboard reads other marts than before. {EXPOSURES} is to be:\n{wanted}"
