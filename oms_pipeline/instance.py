"""Where Dagster keeps its own state. Reads nothing from it."""

import os

from oms_pipeline.settings import PROJECT_DIR, Settings


def prepare_dagster_home(settings: Settings) -> None:
    """Points Dagster at its instance: `DAGSTER_HOME` if set, else a folder beside the project's other state.

    Dagster wants its `dagster.yaml` in the folder it writes to; the checkout's file is copied there, so that a checkout
    stays clean.
    """
    if os.environ.get("DAGSTER_HOME"):
        return
    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    text = (PROJECT_DIR / "dagster.yaml").read_text(encoding="utf-8")
    if not config.exists() or config.read_text(encoding="utf-8") != text:
        config.write_text(text, encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home)
