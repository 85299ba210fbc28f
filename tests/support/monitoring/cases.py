"""Series of an installation where all is well, and for each alert what makes it fire."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

SERVICES: Final = ("auth", "credentials", "scheduler", "executor", "gateway")
HOUR, DAY = 60, 24 * 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """How long is looked at, in minutes, with a sample and an evaluation each `every` minutes."""

    every: int
    end: int

    def samples(self, minutes: int) -> int:
        """Samples in so many minutes."""
        return minutes // self.every


SHORT: Final = Span(every=1, end=4 * HOUR)
LONG: Final = Span(every=30, end=8 * DAY)
"""For what is compared with last week. Rates over some minutes have no samples in it, and their alerts are silent."""

type Values = Callable[[Span], str]
"""Of a series, as promtool takes them."""


def steady(value: float) -> Values:
    """A gauge that does not change."""
    return lambda span: f"{value:g}+0x{span.samples(span.end)}"


def rising(per_minute: float) -> Values:
    """A counter."""
    return rises_then(per_minute, per_minute, minutes=0)


def rises_then(before: float, after: float, *, minutes: int) -> Values:
    """A counter whose rate a minute changes so many minutes before the end."""

    def values(span: Span) -> str:
        first, last = span.samples(span.end - minutes), span.samples(minutes)
        before_, after_ = before * span.every, after * span.every
        then = f" {before_ * first + after_:g}+{after_:g}x{last}" if last else ""
        return f"0+{before_:g}x{first}{then}"

    return values


def changes_to(before: float, after: float, *, minutes: int) -> Values:
    """A gauge that changes so many minutes before the end."""
    return lambda span: f"{before:g}+0x{span.samples(span.end - minutes)} {after:g}+0x{span.samples(minutes)}"


def ends(minutes: int) -> Values:
    """A gauge of 1 that is no more in the last minutes: the process is gone."""
    return lambda span: f"1+0x{span.samples(span.end - minutes)} _x{span.samples(minutes)}"


def follows_the_clock(*, stops: int = 0) -> Values:
    """A time stamp of now, in seconds, that stops to move so many minutes before the end."""

    def values(span: Span) -> str:
        step, first, last = 60 * span.every, span.samples(span.end - stops), span.samples(stops)
        return f"0+{step}x{first}" + (f" {step * first}+0x{last}" if last else "")

    return values


def days_ahead(days: int) -> Values:
    """A time stamp, in seconds, so many days after the end."""
    return lambda span: steady((span.end + days * DAY) * 60)(span)


def histogram(name: str, labels: str, *, edges: Mapping[str, float]) -> dict[str, Values]:
    """Its buckets; `edges`: how many a minute are at most so large."""
    return {f'{name}_bucket{{{labels},le="{edge}"}}': rising(rate) for edge, rate in edges.items()}


ALL_FAST: Final = {"0.5": 60, "10.0": 60, "15.0": 60, "+Inf": 60}
WELL: Final[Mapping[str, Values]] = {
    **{f'up{{service="{name}",instance="{name}:9100"}}': steady(1) for name in SERVICES},
    **{f'convergence_build_info{{service="{name}",version="1",commit="a"}}': steady(1) for name in SERVICES[:4]},
    'convergence_rpc_total{service="auth",method="/a/Get",code="OK",reason=""}': rising(60),
    'convergence_rpc_total{service="auth",method="/a/Get",code="UNAVAILABLE",reason="BIGQUERY_UNAVAILABLE"}': rising(0),
    'convergence_rpc_total{service="auth",method="/a/Get",code="NOT_FOUND",reason="RUN_NOT_FOUND"}': rising(30),
    **histogram("convergence_rpc_seconds", 'service="auth",method="/a/Get"', edges=ALL_FAST),
    # A job may take long: the alert leaves it out.
    **histogram("convergence_rpc_seconds", 'service="auth",method="/a/ResetDailyQuotas"', edges={"10.0": 0, "60.0": 1, "+Inf": 1}),
    'convergence_event_loop_lag_max_seconds{service="auth",instance="auth:9100"}': steady(0.05),
    'convergence_tls_expiry_timestamp_seconds{service="auth",name="auth"}': days_ahead(20),
    'convergence_kms_seconds_count{service="executor",op="decrypt",code="OK"}': rising(10),
    'convergence_kms_seconds_count{service="executor",op="decrypt",code="INVALID_ARGUMENT"}': rising(5),
    'convergence_kms_seconds_count{service="executor",op="decrypt",code="UNAVAILABLE"}': rising(0),
    'convergence_audit_entries_total{service="auth",ending="written"}': rising(9),
    'convergence_audit_entries_total{service="auth",ending="dropped"}': rising(0),
    'convergence_credentials_below_min_key_version{service="credentials"}': steady(0),
    'convergence_report_rows_total{service="executor",table="tenant_runs",ending="written"}': rising(5),
    'convergence_report_rows_total{service="executor",table="tenant_runs",ending="dropped"}': rising(0),
    'convergence_job_last_success_timestamp_seconds{service="scheduler",job_name="trigger"}': follows_the_clock(),
    'convergence_job_last_success_timestamp_seconds{service="scheduler",job_name="process-queue"}': follows_the_clock(),
    'convergence_job_last_success_timestamp_seconds{service="auth",job_name="reset-daily-quotas"}': follows_the_clock(),
    'convergence_job_last_success_timestamp_seconds{service="executor",job_name="check-credentials"}': follows_the_clock(),
    'convergence_access_checks_total{service="executor",provider="GCP",verdict="WORKS"}': rising(3),
    'convergence_access_checks_total{service="executor",provider="GCP",verdict="BROKEN"}': rising(0.1),
    'convergence_access_stopped_total{service="executor",provider="GCP"}': rising(0.1),
    'convergence_step_seconds_count{service="executor",type="gcp.bigquery_extract",status="COMPLETED"}': rising(10),
    'convergence_step_seconds_count{service="executor",type="gcp.bigquery_extract",status="FAILED"}': rising(0.5),
    'convergence_step_seconds_count{service="executor",type="bigquery.sql",status="FAILED"}': rising(20),
    'convergence_spool_free_bytes{service="executor",instance="executor:9100"}': steady(50e9),
    'convergence_spool_free_bytes{service="auth",instance="auth:9100"}': lambda span: f"NaN+0x{span.samples(span.end)}",
    'convergence_templates{service="executor",state="good"}': steady(6),
    'convergence_templates{service="executor",state="broken"}': steady(0),
    'convergence_queue_oldest_seconds{service="scheduler"}': steady(120),
    'convergence_run_seconds_count{service="executor",pipeline="gcp-cost-billing",trigger="scheduler",status="COMPLETED"}': rising(10),
    'convergence_run_seconds_count{service="executor",pipeline="gcp-cost-billing",trigger="scheduler",status="FAILED"}': rising(0.1),
    **{f'convergence_leases_lost_total{{service="executor",kind="{kind}"}}': rising(0) for kind in ("slot", "claim", "overdue")},
    'convergence_quota_decisions_total{service="auth",decision="granted",limit=""}': rising(10),
    'convergence_quota_decisions_total{service="auth",decision="refused",limit="daily"}': rising(0.5),
    'convergence_data_age_seconds_count{service="executor",provider="gcp"}': rising(1),
    **histogram(
        "convergence_data_age_seconds", 'service="executor",provider="gcp"', edges={"86400.0": 1, "259200.0": 1, "432000.0": 1, "+Inf": 1}
    ),
    'convergence_dollars_total{service="executor",bill="platform",pipeline="gcp-cost-billing"}': rising(0.01),
    'convergence_table_budget_used_ratio{service="auth",table="tenant_usage_quotas"}': steady(0.6),
}


def job(name: str, *, stops: int) -> dict[str, Values]:
    """The time stamp of a job that stopped so many minutes ago."""
    [series] = [series for series in WELL if f'job_name="{name}"' in series]
    return {series: follows_the_clock(stops=stops)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What is wrong, and the alert that says so."""

    alert: str
    changes: Mapping[str, Values]
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the alert that fires."""
    span: Span = SHORT


UP = 'up{{service="{0}",instance="{0}:9100"}}'
SLOW = {"0.5": 50, "10.0": 55, "15.0": 60, "+Inf": 60}
OLD = {"86400.0": 0, "259200.0": 0, "432000.0": 1, "+Inf": 1}
AGE = 'convergence_data_age_seconds_count{service="executor",provider="gcp"}'
RPC_ERRORS = 'convergence_rpc_total{service="auth",method="/a/Get",code="UNAVAILABLE",reason="BIGQUERY_UNAVAILABLE"}'
KMS_ERRORS = 'convergence_kms_seconds_count{service="executor",op="decrypt",code="UNAVAILABLE"}'
UNREAD = 'convergence_step_seconds_count{service="executor",type="gcp.bigquery_extract",status="FAILED"}'
FAILED = 'convergence_run_seconds_count{service="executor",pipeline="gcp-cost-billing",trigger="scheduler",status="FAILED"}'

CASES: Final[tuple[Case, ...]] = (
    Case(alert="ConvergenceServiceDown", changes={UP.format("executor"): changes_to(1, 0, minutes=5)}, labels={"service": "executor"}),
    Case(alert="ConvergenceServiceDown", changes={UP.format("gateway"): ends(HOUR)}, labels={"service": "gateway"}),
    Case(alert="ConvergenceCallsFail", changes={RPC_ERRORS: rises_then(0, 12, minutes=20)}, labels={"service": "auth"}),
    Case(
        alert="ConvergenceCallsSlow",
        changes=histogram("convergence_rpc_seconds", 'service="auth",method="/a/Get"', edges=SLOW),
        labels={"service": "auth"},
    ),
    Case(
        alert="ConvergenceEventLoopLags",
        changes={'convergence_event_loop_lag_max_seconds{service="auth",instance="auth:9100"}': changes_to(0.05, 3, minutes=10)},
        labels={"service": "auth", "instance": "auth:9100"},
    ),
    Case(
        alert="ConvergenceVersionSkew",
        changes={'convergence_build_info{service="auth",version="1",commit="b"}': steady(1)},
    ),
    Case(
        alert="ConvergenceCertificateExpires",
        changes={'convergence_tls_expiry_timestamp_seconds{service="auth",name="auth"}': days_ahead(10)},
        labels={"service": "auth", "name": "auth"},
    ),
    Case(alert="ConvergenceKmsFails", changes={KMS_ERRORS: rises_then(0, 10, minutes=20)}, labels={"service": "executor"}),
    Case(
        alert="ConvergenceAuditDropped",
        changes={'convergence_audit_entries_total{service="auth",ending="dropped"}': rises_then(0, 1, minutes=2)},
        labels={"service": "auth"},
    ),
    Case(
        alert="ConvergenceKeyVersionOld",
        changes={'convergence_credentials_below_min_key_version{service="credentials"}': changes_to(0, 2, minutes=40)},
    ),
    Case(
        alert="ConvergenceReportsDropped",
        changes={'convergence_report_rows_total{service="executor",table="tenant_runs",ending="dropped"}': rises_then(0, 1, minutes=2)},
        labels={"service": "executor", "table": "tenant_runs"},
    ),
    Case(alert="ConvergenceTriggerStopped", changes=job("trigger", stops=150)),
    Case(alert="ConvergenceProcessQueueStopped", changes=job("process-queue", stops=30)),
    Case(alert="ConvergenceResetStopped", changes=job("reset-daily-quotas", stops=27 * HOUR), span=LONG),
    Case(alert="ConvergenceCredentialChecksStopped", changes=job("check-credentials", stops=27 * HOUR), span=LONG),
    Case(
        alert="ConvergenceAccessLost",
        changes={'convergence_access_stopped_total{service="executor",provider="GCP"}': rises_then(0, 1, minutes=40)},
        labels={"provider": "GCP"},
    ),
    Case(
        alert="ConvergenceAccessLost",
        changes={UNREAD: rises_then(0.5, 7, minutes=HOUR)},
        labels={"type": "gcp.bigquery_extract"},
    ),
    Case(
        alert="ConvergenceSpoolFills",
        changes={'convergence_spool_free_bytes{service="executor",instance="executor:9100"}': changes_to(50e9, 1e9, minutes=10)},
        labels={"instance": "executor:9100"},
    ),
    Case(
        alert="ConvergenceTemplateBroken",
        changes={'convergence_templates{service="executor",state="broken"}': changes_to(0, 1, minutes=15)},
    ),
    Case(
        alert="ConvergenceQueueWaits",
        changes={'convergence_queue_oldest_seconds{service="scheduler"}': changes_to(120, 1000, minutes=15)},
    ),
    Case(alert="ConvergenceRunsFail", changes={FAILED: rises_then(0.1, 10, minutes=HOUR)}, labels={"pipeline": "gcp-cost-billing"}),
    Case(
        alert="ConvergenceLeasesLost",
        changes={'convergence_leases_lost_total{service="executor",kind="slot"}': rises_then(0, 1, minutes=2)},
        labels={"kind": "slot"},
    ),
    Case(
        alert="ConvergenceRefusalsJump",
        changes={'convergence_quota_decisions_total{service="auth",decision="refused",limit="daily"}': rises_then(0.5, 5, minutes=HOUR)},
        labels={"limit": "daily"},
    ),
    Case(alert="ConvergenceDataStale", changes={AGE: rises_then(1, 0, minutes=40 * HOUR)}, labels={"provider": "gcp"}, span=LONG),
    Case(
        alert="ConvergenceDataStale",
        changes=histogram("convergence_data_age_seconds", 'service="executor",provider="gcp"', edges=OLD),
        labels={"provider": "gcp"},
    ),
    Case(
        alert="ConvergenceDollarsAboveForecast",
        changes={
            'convergence_dollars_total{service="executor",bill="platform",pipeline="gcp-cost-billing"}': rises_then(0.01, 0.05, minutes=DAY)
        },
        span=LONG,
    ),
    Case(
        alert="ConvergenceTableBudgetNear",
        changes={'convergence_table_budget_used_ratio{service="auth",table="tenant_usage_quotas"}': changes_to(0.6, 1, minutes=15)},
        labels={"service": "auth", "table": "tenant_usage_quotas"},
    ),
)
