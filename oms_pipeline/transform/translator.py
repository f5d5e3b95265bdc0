"""How dbt's nodes appear in Dagster: keys, groups, descriptions, owners, code links. Runs nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject

from oms_pipeline.presentation import OWNER, column_schema
from oms_pipeline.transform.project import DBT_PROJECT_DIR

_CHECKS = {
    "grain": "One row per {key}: unique and never null, among the rows that the run has computed.",
    "matches_contract": (
        "The staged rows keep the contract: a key once in a landed day, nothing null that must not be, and only values "
        "that are accepted."
    ),
}


class LayerTranslator(DagsterDbtTranslator):
    """Asset key = [schema, table], group = schema = layer."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_asset_checks=True, enable_source_metadata=False))

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """The relation's schema and name."""
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The layer."""
        return str(dbt_resource_props["schema"])

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The model's own description; its SQL is one click away."""
        return str(dbt_resource_props["description"])

    def get_asset_check_spec(
        self, asset_spec: dg.AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetCheckSpec | None:
        """The test as a check, described by what it asks for."""
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        test = self.get_resource_props(manifest, unique_id).get("test_metadata") or {}
        if spec is None or test.get("name") not in _CHECKS:
            return spec
        key = ", ".join(test["kwargs"].get("key", ()))
        return spec._replace(description=_CHECKS[test["name"]].format(key=key))

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str]:
        """The owner the model names in its `meta`, or the data team."""
        meta = dbt_resource_props.get("config", {}).get("meta", {})
        return meta.get("dagster", {}).get("owners", [OWNER])

    def get_tags(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, str]:
        """None: dbt's tags steer dbt."""
        return {}

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, Any]:
        """Relation, column schema and a link to the model's file."""
        columns = dbt_resource_props["columns"].values()
        metadata: dict[str, Any] = {
            "dagster/table_name": f"{dbt_resource_props['schema']}.{dbt_resource_props['name']}",
            "dagster/column_schema": column_schema(
                (column["name"], column.get("data_type") or "", column["description"]) for column in columns
            ),
        }
        if dbt_resource_props["resource_type"] == "model":
            path = DBT_PROJECT_DIR / dbt_resource_props["original_file_path"]
            metadata["dagster/code_references"] = dg.CodeReferencesMetadataValue(
                code_references=[dg.LocalFileCodeReference(file_path=str(path), line_number=1, label=path.name)]
            )
        return metadata
