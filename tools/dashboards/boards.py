"""What is on the three dashboards. Every query finds data in a suite that has run for some minutes: `make check-monitoring`."""

from typing import Final

from tools.dashboards.grafana import Board, PanelSpec, Query

RATE: Final = "$__rate_interval"


def quantiles(metric: str, by: str, *, extra: str = "") -> list[Query]:
    """The median and the slowest of a hundred."""
    found = []
    for share in ("0.5", "0.99"):
        expr = f"histogram_quantile({share}, sum by ({by}, le) (rate({metric}_bucket{extra}[{RATE}])))"
        found.append(Query(expr=expr, legend=f"{{{{{by}}}}} p{float(share) * 100:.0f}"))
    return found


FLEET: Final = Board(
    uid="fleet",
    title="fleet",
    panels=(
        PanelSpec(
            title="Replicas up",
            what="Targets that Prometheus reaches. 0 is ConvergenceServiceDown.",
            is_number=True,
            queries=[Query(expr="sum by (service) (up)", legend="{{service}}")],
        ),
        PanelSpec(
            title="Jobs: last success",
            what="Of Cloud Scheduler: trigger comes hourly, process-queue every five minutes, reset-daily-quotas at midnight UTC.",
            unit="dateTimeFromNow",
            is_number=True,
            queries=[
                Query(
                    expr="1000 * max by (job_name) (max_over_time(convergence_job_last_success_timestamp_seconds[2d])) > 0",
                    legend="{{job_name}}",
                )
            ],
        ),
        PanelSpec(
            title="Builds",
            what="More than one for long is ConvergenceVersionSkew.",
            is_number=True,
            queries=[Query(expr="count by (version, commit) (convergence_build_info)", legend="{{version}} {{commit}}")],
        ),
        PanelSpec(
            title="Calls",
            what="Answered RPCs.",
            unit="reqps",
            queries=[Query(expr=f"sum by (service) (rate(convergence_rpc_total[{RATE}]))", legend="{{service}}")],
        ),
        PanelSpec(
            title="Errors on our side",
            what="Part of the calls. Above 5 % is ConvergenceCallsFail.",
            unit="percentunit",
            queries=[
                Query(
                    expr='sum by (service) (rate(convergence_rpc_total{code=~"INTERNAL|UNKNOWN|UNAVAILABLE|DATA_LOSS|DEADLINE_EXCEEDED"}'
                    f"[{RATE}]) or 0 * rate(convergence_rpc_total[{RATE}])) / sum by (service) (rate(convergence_rpc_total[{RATE}]))",
                    legend="{{service}}",
                )
            ],
        ),
        PanelSpec(
            title="Refusals and errors by reason",
            what="What callers get instead of an answer.",
            unit="reqps",
            queries=[
                Query(expr=f'sum by (code, reason) (rate(convergence_rpc_total{{code!="OK"}}[{RATE}]))', legend="{{code}} {{reason}}"),
            ],
        ),
        PanelSpec(title="Time of calls", what="Without streams.", unit="s", queries=quantiles("convergence_rpc_seconds", "service")),
        PanelSpec(
            title="Calls in flight",
            what="Streams among them: watches, and each service's look-out for key changes.",
            queries=[Query(expr="sum by (service) (convergence_rpc_in_flight)", legend="{{service}}")],
        ),
        PanelSpec(
            title="Event loop lag",
            what="The longest of the last minute. Above 1 s is ConvergenceEventLoopLags.",
            unit="s",
            queries=[Query(expr="max by (service) (convergence_event_loop_lag_max_seconds)", legend="{{service}}")],
        ),
        PanelSpec(
            title="Gateway: answers",
            what="Of Envoy, by class of status.",
            unit="reqps",
            queries=[
                Query(
                    expr="sum by (envoy_response_code_class) "
                    f'(rate(envoy_http_downstream_rq_xx{{envoy_http_conn_manager_prefix="edge"}}[{RATE}]))',
                    legend="{{envoy_response_code_class}}xx",
                )
            ],
        ),
        PanelSpec(
            title="Quota decisions",
            what="A limit that jumps is ConvergenceRefusalsJump.",
            unit="reqps",
            queries=[
                Query(expr=f"sum by (decision, limit) (rate(convergence_quota_decisions_total[{RATE}]))", legend="{{decision}} {{limit}}")
            ],
        ),
        PanelSpec(
            title="Certificates expire in",
            what="Less than 14 days is ConvergenceCertificateExpires.",
            unit="s",
            is_number=True,
            queries=[Query(expr="min by (name) (convergence_tls_expiry_timestamp_seconds) - time()", legend="{{name}}")],
        ),
        PanelSpec(
            title="Cloud KMS",
            what="Calls by their end. Above 20 % that are not OK is ConvergenceKmsFails.",
            unit="reqps",
            queries=[Query(expr=f"sum by (op, code) (rate(convergence_kms_seconds_count[{RATE}]))", legend="{{op}} {{code}}")],
        ),
        PanelSpec(
            title="Audit log",
            what="Dropped must stay at 0: ConvergenceAuditDropped.",
            unit="reqps",
            queries=[Query(expr=f"sum by (ending) (rate(convergence_audit_entries_total[{RATE}]))", legend="{{ending}}")],
        ),
        PanelSpec(
            title="Memory",
            what="Resident, of the largest replica.",
            unit="bytes",
            queries=[Query(expr="max by (service) (process_resident_memory_bytes)", legend="{{service}}")],
        ),
    ),
)

RUNS: Final = Board(
    uid="runs",
    title="runs and queue",
    panels=(
        PanelSpec(
            title="Queue",
            what="Runs at the last look of process-queue. Lapsed: their scheduler is gone.",
            queries=[Query(expr="max by (state) (convergence_queue_runs)", legend="{{state}}")],
        ),
        PanelSpec(
            title="Oldest run that is ready",
            what="Above 15 minutes is ConvergenceQueueWaits.",
            unit="s",
            queries=[Query(expr="max(convergence_queue_oldest_seconds)", legend="oldest")],
        ),
        PanelSpec(
            title="Schedules still due",
            what="After the last trigger: a quota had no room for them.",
            queries=[Query(expr="max(convergence_schedules_due)", legend="due")],
        ),
        PanelSpec(
            title="Runs live",
            what="In all executors: waiting for a place, or working.",
            queries=[Query(expr="sum by (state) (convergence_runs_live)", legend="{{state}}")],
        ),
        PanelSpec(
            title="Runs ended",
            what="By status. 30 % FAILED of a pipeline is ConvergenceRunsFail.",
            unit="reqps",
            queries=[Query(expr=f"sum by (status) (rate(convergence_run_seconds_count[{RATE}]))", legend="{{status}}")],
        ),
        PanelSpec(
            title="Runs that failed",
            what="By pipeline, in an hour.",
            queries=[
                Query(expr='sum by (pipeline) (increase(convergence_run_seconds_count{status="FAILED"}[1h]))', legend="{{pipeline}}"),
            ],
        ),
        PanelSpec(title="Time of runs", what="From start to end.", unit="s", queries=quantiles("convergence_run_seconds", "pipeline")),
        PanelSpec(
            title="Spool",
            what="Room for exports between reading and loading them. Below 2 GB free is ConvergenceSpoolFills.",
            unit="bytes",
            queries=[
                Query(expr="min(convergence_spool_free_bytes)", legend="free"),
                Query(expr="sum(convergence_spool_taken_bytes)", legend="taken by runs"),
            ],
        ),
        PanelSpec(title="Time of steps", what="One try.", unit="s", queries=quantiles("convergence_step_seconds", "type")),
        PanelSpec(
            title="Runs waited",
            what="In the queue from their fire time to the claim, in the executor for a place to work.",
            unit="s",
            queries=quantiles("convergence_run_wait_seconds", "at"),
        ),
        PanelSpec(
            title="Leases lost",
            what="In 15 minutes; more than none is ConvergenceLeasesLost.",
            queries=[Query(expr="sum by (kind) (increase(convergence_leases_lost_total[15m]))", legend="{{kind}}")],
        ),
        PanelSpec(
            title="Publishes of scheduled runs",
            what="None for a day and a half is ConvergenceDataStale.",
            queries=[Query(expr="sum by (provider) (increase(convergence_data_age_seconds_count[1d]))", legend="{{provider}}")],
        ),
        PanelSpec(
            title="Days restated",
            what="Days published again with another net cost, in a day.",
            queries=[Query(expr="sum by (provider) (increase(convergence_restatements_total[1d]))", legend="{{provider}}")],
        ),
    ),
)

BIGQUERY: Final = Board(
    uid="bigquery",
    title="BigQuery, money and budgets",
    panels=(
        PanelSpec(
            title="Dollars in the last day",
            what="Estimated at list prices. bill: whose, the platform's, or the tenants' for what runs read of their data.",
            unit="currencyUSD",
            is_number=True,
            queries=[Query(expr="sum by (bill) (increase(convergence_dollars_total[1d]))", legend="{{bill}}")],
        ),
        PanelSpec(
            title="The platform's dollars a day",
            what="Half as much again as in the days of the last week is ConvergenceDollarsAboveForecast.",
            unit="currencyUSD",
            queries=[Query(expr="convergence:platform_dollars:increase1d", legend="a day")],
        ),
        PanelSpec(
            title="Dollars an hour by pipeline",
            what="Without a pipeline: statements that serve many runs, or none.",
            unit="currencyUSD",
            queries=[
                Query(expr="sum by (bill, pipeline) (increase(convergence_dollars_total[1h]))", legend="{{bill}} {{pipeline}}"),
            ],
        ),
        PanelSpec(
            title="Bytes billed by statement",
            what="The ten that are billed most.",
            unit="Bps",
            queries=[
                Query(expr=f"topk(10, sum by (statement) (rate(convergence_bigquery_bytes_billed_total[{RATE}])))", legend="{{statement}}")
            ],
        ),
        PanelSpec(
            title="Slot time by statement",
            what="Slots in use, of the ten that use most.",
            queries=[
                Query(expr=f"topk(10, sum by (statement) (rate(convergence_bigquery_slot_seconds_total[{RATE}])))", legend="{{statement}}")
            ],
        ),
        PanelSpec(
            title="Read of tenants' data",
            what="At the tenants' expense.",
            unit="Bps",
            queries=[Query(expr=f"sum by (pipeline) (rate(convergence_storage_read_bytes_total[{RATE}]))", legend="{{pipeline}}")],
        ),
        PanelSpec(
            title="Jobs by service",
            what="Statements and loads, retries included.",
            unit="reqps",
            queries=[Query(expr=f"sum by (service) (rate(convergence_bigquery_jobs_total[{RATE}]))", legend="{{service}}")],
        ),
        PanelSpec(
            title="Slowest statements",
            what="One in a hundred; the ten slowest.",
            unit="s",
            queries=[
                Query(
                    expr=f"topk(10, histogram_quantile(0.99, sum by (statement, le) (rate(convergence_bigquery_seconds_bucket[{RATE}]))))",
                    legend="{{statement}}",
                )
            ],
        ),
        PanelSpec(
            title="Changes by table",
            what="BigQuery takes 25 of a table in ten seconds (2.5/s), of all processes together. The ten busiest.",
            unit="reqps",
            queries=[
                Query(
                    expr=f'topk(10, sum by (table) (rate(convergence_bigquery_statements_total{{kind="dml"}}[{RATE}])))', legend="{{table}}"
                )
            ],
        ),
        PanelSpec(
            title="Waiting for tables' budgets",
            what="Statements that wait at any time.",
            queries=[Query(expr=f"sum by (service) (rate(convergence_bigquery_paced_seconds_total[{RATE}]))", legend="{{service}}")],
        ),
        PanelSpec(
            title="Rows that were dropped",
            what="Of what is written in the background for operators.",
            queries=[
                Query(expr='sum by (table) (increase(convergence_report_rows_total{ending="dropped"}[1h]))', legend="{{table}}"),
            ],
        ),
        PanelSpec(
            title="Questions about costs",
            what="Read, or answered from the cache.",
            unit="reqps",
            queries=[Query(expr=f"sum by (how) (rate(convergence_cost_answers_total[{RATE}]))", legend="{{how}}")],
        ),
    ),
)

BOARDS: Final = (FLEET, RUNS, BIGQUERY)
