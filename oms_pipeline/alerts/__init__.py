"""E-mail: what is worth one, how it reads, how it is delivered. Knows Dagster's events, nothing of warehouses."""

from oms_pipeline.alerts.delivery import check, deliver, mail_dir
from oms_pipeline.alerts.mail import Envelope, html_of, sample, trial_mail
from oms_pipeline.alerts.problems import Kind
from oms_pipeline.alerts.sensor import SENSOR, alert_sensor, forget_refusal, heartbeat_file

__all__ = [
    "SENSOR",
    "Envelope",
    "Kind",
    "alert_sensor",
    "check",
    "deliver",
    "forget_refusal",
    "heartbeat_file",
    "html_of",
    "mail_dir",
    "sample",
    "trial_mail",
]
