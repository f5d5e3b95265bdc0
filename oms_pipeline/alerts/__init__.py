"""E-mail: what is worth one, how it reads, how it is delivered. Knows Dagster's events, nothing of warehouses."""

from oms_pipeline.alerts.delivery import check, deliver, destination, forget_refusal, mail_dir
from oms_pipeline.alerts.digest import Business, BusinessOf, Chart
from oms_pipeline.alerts.mail import html_of, trial_mail
from oms_pipeline.alerts.page import Envelope
from oms_pipeline.alerts.problems import Kind
from oms_pipeline.alerts.samples import sample
from oms_pipeline.alerts.sensor import Watch, alert_sensor, heartbeat_file, newest_digest
from oms_pipeline.alerts.severity import load_severities
from oms_pipeline.alerts.state import SENSOR, known_problems

__all__ = [
    "SENSOR",
    "Business",
    "BusinessOf",
    "Chart",
    "Envelope",
    "Kind",
    "Watch",
    "alert_sensor",
    "check",
    "deliver",
    "destination",
    "forget_refusal",
    "heartbeat_file",
    "html_of",
    "known_problems",
    "load_severities",
    "mail_dir",
    "newest_digest",
    "sample",
    "trial_mail",
]
