"""Reads the OMS database, gently: one read-only connection, indexed ranges. Knows nothing of files or warehouses."""

from oms_pipeline.source.postgres import DaySnapshot, PostgresSource, SourceSession

__all__ = ["DaySnapshot", "PostgresSource", "SourceSession"]
