"""`python -m benchmarks.bulk`: one day of a million rows through gcp/cost/billing, compared with a bare script that only moves the rows.

Each side runs in a process of its own, to measure its own peak memory. Both read the same table of one emulator, one after the other.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from benchmarks.place import emulators
from localcloud.processes.environment import emulator_environment

DAY = "2025-11-17"
SOURCE = "p-bulk.exports.gcp_billing_export_resource_v1_01AB2C_3D4E5F_6A7B8C"
ROWS = 1_000_000
PUBLISHING = ("extract", "checks", "publish")
"""The steps before the day is visible. Those of FOCUS follow."""
_EXPORT = f"""
CREATE TABLE `{SOURCE}` AS
SELECT
  '01AB2C-3D4E5F-6A7B8C' AS billing_account_id,
  STRUCT('6F81-5844-456A' AS id, 'Compute Engine' AS description) AS service,
  STRUCT(CONCAT('SKU-', CAST(MOD(i, 997) AS STRING)) AS id, 'N1 core' AS description) AS sku,
  TIMESTAMP_ADD(TIMESTAMP '{DAY}', INTERVAL MOD(i, 24) HOUR) AS usage_start_time,
  TIMESTAMP_ADD(TIMESTAMP '{DAY}', INTERVAL MOD(i, 24) + 1 HOUR) AS usage_end_time,
  STRUCT(CONCAT('shop-', CAST(MOD(i, 53) AS STRING)) AS id, '42' AS number, 'The shop' AS name) AS project,
  [STRUCT('team' AS key, CAST(MOD(i, 11) AS STRING) AS value), STRUCT('env' AS key, 'prod' AS value)] AS labels,
  [STRUCT('compute.googleapis.com/cores' AS key, '4' AS value)] AS system_labels,
  STRUCT('us-central1' AS location, 'US' AS country, 'us-central1' AS region, 'us-central1-a' AS zone) AS location,
  STRUCT(CONCAT('vm-', CAST(i AS STRING)) AS name, CONCAT('//compute/instances/', CAST(i AS STRING)) AS global_name) AS resource,
  MOD(i, 10007) / 1000 AS cost, MOD(i, 10007) / 900 AS cost_at_list, 'USD' AS currency, 1.0 AS currency_conversion_rate,
  STRUCT(3600.0 AS amount, 'seconds' AS unit, 1.0 AS amount_in_pricing_units, 'hour' AS pricing_unit) AS usage,
  [STRUCT('sustained use' AS name, -MOD(i, 101) / 10000 AS amount), STRUCT('promotion' AS name, -MOD(i, 7) / 10000 AS amount)] AS credits,
  STRUCT('202511' AS month) AS invoice, 'regular' AS cost_type
FROM UNNEST(GENERATE_ARRAY(1, @rows)) AS i
"""  # noqa: S608 - made of the constants above


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk", description="A large day, against a bare script.")
    parser.add_argument("--rows", type=int, default=ROWS, help="of the day (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="each side's best one counts (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("BULK.md"), help="the report (%(default)s)")
    options = parser.parse_args()
    with emulators() as local:
        host = emulator_environment(local)
        given = {
            "project": local.project,
            "bigquery_emulator_host": host["BIGQUERY_EMULATOR_HOST"],
            "bigquery_storage_emulator_host": host["BIGQUERY_STORAGE_EMULATOR_HOST"],
            "source": SOURCE,
            "day": DAY,
        }
        _make(given["bigquery_emulator_host"], local.project, options.rows)
        sides: dict[str, tuple[str, Mapping[str, object]]] = {
            "bare": ("bulk_bare", given),
            "overlapped": ("bulk_bare", {**given, "overlap": True}),
            "suite": ("bulk_suite", given),
        }
        rounds = [{side: _side(*what) for side, what in sides.items()} for _ in range(options.rounds)]
    best = {side: min((one[side] for one in rounds), key=lambda one: float(one["seconds"])) for side in sides}
    text = report(options.rows, **best)
    options.output.write_text(text)
    print(text)


def report(rows: int, *, bare: Mapping[str, Any], overlapped: Mapping[str, Any], suite: Mapping[str, Any]) -> str:
    """The comparison, as Markdown."""

    def line(what: str, seconds: float, memory: str = "") -> str:
        ratios = " | ".join(f"{side['seconds'] / seconds:.2f}" for side in (bare, overlapped))
        return f"| {what} | {rows / seconds:,.0f} | {ratios} | {memory} |"

    published = sum(suite["steps"][name] for name in PUBLISHING)
    table = "\n".join(
        [
            line("bare script: read, Parquet, load", bare["seconds"], f"{bare['peak_mb']:,.0f}"),
            line("the same, writing while it reads", overlapped["seconds"], f"{overlapped['peak_mb']:,.0f}"),
            line("gcp/cost/billing, until billing_cost_daily has the day", published),
            *(line(f"... of it {name}", suite["steps"][name]) for name in PUBLISHING),
            line("gcp/cost/billing, whole run, FOCUS included", suite["seconds"], f"{suite['peak_mb']:,.0f}"),
        ]
    )
    return f"""# A day of {rows:,} rows

One run of gcp/cost/billing, against a bare script that does the same Storage Read -> Parquet -> load job and nothing else: no checks, no
publishing, no FOCUS. Same emulator, same table, one after the other, each in its own process; of each the best round.

| what | rows a second | times the bare script's | times the overlapped one's | peak memory, MB |
|---|--:|--:|--:|--:|
{table}

Rows and sums of cost and credits published: {suite["published"]}.

Again: `make bench-bulk`.
"""


def _make(host: str, project: str, rows: int) -> None:
    with bigquery.Client(project, AnonymousCredentials(), client_options={"api_endpoint": host}) as client:  # type: ignore[no-untyped-call]
        client.create_dataset("p-bulk.exports", exists_ok=True)
        config = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter("rows", "INT64", rows)])
        client.query_and_wait(_EXPORT, job_config=config)


def _side(name: str, given: Mapping[str, object]) -> dict[str, Any]:
    """What a side has measured: its last line."""
    answer = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", json.dumps(given)], check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    print(f"{name}: {measured}", flush=True)
    return measured


if __name__ == "__main__":
    main()
