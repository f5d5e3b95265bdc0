"""Tests of what every room stands on: settings, calendar, contract, presentation, progress, Dagster's home."""
