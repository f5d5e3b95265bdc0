"""The trigger for Airflow, in real Airflows of both kinds, against a real Dagster."""
