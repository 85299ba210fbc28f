"""`python -m benchmarks.bulk`: one day of a million rows through gcp/cost/billing, compared with a bare script that only moves the rows.

Each side runs in a process of its own, to measure its own peak memory. Both read the same table of one emulator, one after the other.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from benchmarks.place import REPOSITORY
from localcloud.processes.environment import emulator_environment
from localcloud.settings import LocalSettings
from localcloud.stack import Stack

DAY = "2025-11-17"
SOURCE = "p-bulk.exports.gcp_billing_export_resource_v1_01AB2C_3D4E5F_6A7B8C"
ROWS = 1_000_000
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


SIDES: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "moved": ("bulk_bare", {}),
    "overlapped": ("bulk_bare", {"overlap": True}),
    "same": ("bulk_bare", {"overlap": True, "publish": True}),
    "suite": ("bulk_suite", {"focus": False}),
    "whole": ("bulk_suite", {}),
}
"""What is run, and with what, by the names of `report`."""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk", description="A large day, against a bare script.")
    parser.add_argument("--rows", type=int, default=ROWS, help="of the day (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="each side's best one counts (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("BULK.md"), help="the report (%(default)s)")
    options = parser.parse_args()
    loads = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory(prefix="convergence-bench-") as state:
        local = LocalSettings.on_free_ports(Path(state) / "state", cache_dir=REPOSITORY / ".cache", cloud_scheduler=False)
        with Stack(local, only=("bigquery",), auto_restart=False) as stack:
            host, emulator = emulator_environment(local), stack.pid("bigquery")
            given: dict[str, Any] = {
                "project": local.project,
                "bigquery_emulator_host": host["BIGQUERY_EMULATOR_HOST"],
                "bigquery_storage_emulator_host": host["BIGQUERY_STORAGE_EMULATOR_HOST"],
                "source": SOURCE,
                "day": DAY,
                "emulator": emulator,
            }
            _make(given["bigquery_emulator_host"], local.project, options.rows)
            rounds = list[Mapping[str, Mapping[str, Any]]]()
            for number in range(options.rounds):
                one = dict[str, Mapping[str, Any]]()
                for side, (module, how) in SIDES.items():
                    one[side] = _side(module, {**given, **how, "dataset": f"bulk_{side}_{number}"})
                    loads.append(os.getloadavg()[0])
                rounds.append(one)
    text = report(options.rows, loads, **{side: min((one[side] for one in rounds), key=_cpu) for side in SIDES})
    options.output.write_text(text)
    print(text)


def report(  # noqa: PLR0913 - the sides
    rows: int,
    loads: Sequence[float],
    *,
    moved: Mapping[str, Any],
    overlapped: Mapping[str, Any],
    same: Mapping[str, Any],
    suite: Mapping[str, Any],
    whole: Mapping[str, Any],
) -> str:
    """The comparison, as Markdown. `loads`: of the machine, before each measurement and at the end."""

    def line(what: str, side: Mapping[str, Any]) -> str:
        cells = (
            f"{rows / side['seconds']:,.0f}",
            f"{side['own_cpu']:.1f}",
            f"{side['emulator_cpu']:.1f}",
            f"{same['seconds'] / side['seconds']:.2f}",
            f"{_cpu(same) / _cpu(side):.2f}",
            f"{side['peak_mb']:,.0f}",
        )
        return f"| {what} | {' | '.join(cells)} |"

    table = "\n".join(
        [
            line("bare script: read, Parquet, load", moved),
            line("the same, writing while it reads", overlapped),
            line("... and the checks, and the publish in a transaction", same),
            line("gcp/cost/billing without FOCUS", suite),
            line("gcp/cost/billing", whole),
        ]
    )
    steps = ", ".join(f"{name} {seconds:.1f}" for name, seconds in suite["steps"].items())
    return f"""# A day of {rows:,} rows

One run of gcp/cost/billing, against bare scripts over the same emulator and the same table, one after the other, each in its own process
and into tables of its own. The third script does the same work until `billing_cost_daily` has the day: it reads, loads, checks by one
SELECT, and replaces the day in one transaction ([bulk_same_work.py](bulk_same_work.py)). It has no fence of the run, no ledger of
days, no recorded changes and no FOCUS. The two ratios compare each program with this third script; above 1 is better.
Each row is the round with the least CPU.

| program | rows a second | CPU s, own | CPU s, emulator | speed ratio | CPU ratio | peak memory, MB |
|---|--:|--:|--:|--:|--:|--:|
{table}

Seconds of the steps without FOCUS: {steps}. Published, with the sums of cost and credits: {suite["published"]}.

The machine: {os.cpu_count()} cores, its load {min(loads):.1f} to {max(loads):.1f} before each measurement and at the end. On a busy
machine the CPU says more than the speed.

Again: `make bench-bulk`.
"""


def _cpu(side: Mapping[str, Any]) -> float:
    return float(side["own_cpu"] + side["emulator_cpu"])


def _make(host: str, project: str, rows: int) -> None:
    with bigquery.Client(project, AnonymousCredentials(), client_options={"api_endpoint": host}) as client:  # type: ignore[no-untyped-call]
        client.create_dataset("p-bulk.exports", exists_ok=True)
        config = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter("rows", "INT64", rows)])
        client.query_and_wait(_EXPORT, job_config=config)


def _side(name: str, given: Mapping[str, object]) -> Mapping[str, Any]:
    """What a side has measured: its last line."""
    answer = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", json.dumps(given)], check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    print(f"{given['dataset']}: {measured}", flush=True)
    return measured


if __name__ == "__main__":
    main()
