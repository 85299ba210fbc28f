"""The FinOps Foundation's focus-validator as a program: rows in, ids of the violated rules out."""

import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.platform.settings import REPOSITORY

HOME = REPOSITORY / ".cache" / "focus-validator"
MAKE = "make .cache/focus-validator/.stamp"
ARROW = {
    "STRING": pa.string(),
    "JSON": pa.string(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "NUMERIC": pa.decimal128(38, 9),
    "FLOAT64": pa.float64(),
}
"""BigQuery's export to Parquet has these types; JSON as its text."""
_COMPOSITE = "Composite check"
"""How the validator speaks of a rule that is a list of others."""


def write_parquet(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], file: Path) -> None:
    """Rows as BigQuery answers them, JSON as text; `columns`: name to GoogleSQL type."""
    schema = pa.schema([(name, ARROW[kind]) for name, kind in columns.items()])
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=schema), file)


def broken_rules(file: Path, report: Path) -> tuple[dict[str, str], int]:
    """The rules of FOCUS 1.2 that the rows of a Parquet file break, by id, each with what the validator says of it; and how many rules
    hold. It exits with 0 whatever it finds: only its report tells, which is written to `report`.
    """
    if not (HOME / ".stamp").is_file():
        pytest.fail(f"the validator is not installed: {MAKE}")
    # It opens a file of its own by a path relative to where its package stands.
    [packages] = HOME.glob("lib/python3*/site-packages")
    command: list[str | Path] = [
        HOME / "bin" / "focus-validator",
        "--data-file",
        file,
        "--data-format",
        "parquet",
        "--validate-version",
        "1.2.0.1",
    ]
    command += ["--block-download", "--applicability-criteria", "ALL", "--output-type", "unittest", "--output-destination", report]
    done = subprocess.run(command, cwd=packages, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode or not report.is_file():
        pytest.fail(f"the validator did not run:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    broken, held = dict[str, str](), 0
    for case in ET.parse(report).getroot().iter("testcase"):
        verdicts = [part for part in case if part.tag in {"skipped", "failure", "error"}]
        if not verdicts:
            held += 1
        elif verdicts[0].tag != "skipped" and not str(verdicts[0].get("message")).startswith(_COMPOSITE):
            broken[str(case.get("name")).split(" ", maxsplit=1)[0]] = str(verdicts[0].get("message"))
    return broken, held
