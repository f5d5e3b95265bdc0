"""Registering landed days, through Dagster."""
