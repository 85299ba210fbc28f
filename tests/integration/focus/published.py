"""What is published in FOCUS's columns, as the validator takes it."""

from pathlib import Path

from services.platform.bigquery.ddl import load_tables
from services.platform.settings import REPOSITORY
from tests.integration.focus.validator import broken_rules, write_parquet
from tests.support.executor.tenant import Tenant

COLUMNS = load_tables(REPOSITORY / "configs" / "bigquery" / "tenant")["focus_cost_daily"].columns
MIN_RULES = 300
"""That hold: a validator that has not looked would find nothing wrong."""


async def broken_by_published(tenant: Tenant, folder: Path) -> dict[str, str]:
    """The rules that the rows of focus_cost_daily break, each with what the validator says of it."""
    text = ", ".join(f"TO_JSON_STRING({name}) AS {name}" if kind == "JSON" else name for name, kind in COLUMNS.items())
    rows = await tenant.rows(f"SELECT {text} FROM focus_cost_daily")
    assert rows
    for row in rows:
        row |= {name: None for name, kind in COLUMNS.items() if kind == "JSON" and row[name] == "null"}
    write_parquet(rows, COLUMNS, folder / "focus.parquet")
    broken, held = broken_rules(folder / "focus.parquet", folder / "report.xml")
    assert held >= MIN_RULES
    return broken
