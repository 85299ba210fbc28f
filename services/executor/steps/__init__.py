"""The step types, one module each. To add one: a module with a `parse`, and an entry here."""

from collections.abc import Mapping

from services.executor.sources.registry import DATASETS, SOURCE_TYPES
from services.executor.steps import bigquery_sql, dq_checks, invoice_check, notify, publish_section
from services.executor.steps.extract import extract_dataset_from, extract_from
from services.executor.steps.focus_totals import focus_totals_from
from services.executor.templates.step import StepType

STEP_TYPES: Mapping[str, StepType] = {
    "gcp.bigquery_extract": extract_from("gcp.bigquery_extract", SOURCE_TYPES["GCP"]),
    "gcp.focus_totals": focus_totals_from("gcp.focus_totals", SOURCE_TYPES["GCP"]),
    "aws.s3_export": extract_dataset_from("aws.s3_export", DATASETS["AWS"]),
    "azure.blob_export": extract_dataset_from("azure.blob_export", DATASETS["AZURE"]),
    "bigquery.sql": bigquery_sql.parse,
    "dq.checks": dq_checks.parse,
    "dq.invoices": invoice_check.parse,
    "bigquery.publish": publish_section.parse,
    "notify.slack": notify.parse_slack,
    "notify.webhook": notify.parse_webhook,
    "notify.email": notify.parse_email,
}
