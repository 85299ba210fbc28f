"""What the tables of a source will hold of the run's days once its publish has committed, from the rows that are staged by then. So steps
that derive from these tables can run concurrently with the publish instead of after it.

At that time it is unknown whether the publish will commit, and what others publish before it. So derived rows are published only with or
after it, and only if the table holds exactly the rows that were read here: see `is_superseded` in `ledger_measures`. If the publish has
already committed when they are read, nothing changes: it adds only rows that are newer than the rows that stay.
"""

from services.executor.ledger.days import DAY_READS
from services.executor.ledger.store import DAYS
from services.executor.staging.table_after import TableAfter
from services.executor.steps.ledger_script import LedgerKind
from services.executor.steps.publish_script import Replacement
from services.platform.bigquery.sql import Block


def tables_after(replacement: Replacement, rows: Block) -> tuple[TableAfter, ...]:
    """The published table, and the ledger of days. Empty if this cannot be known beforehand: for a publish that keeps no ledger of a
    source's days, or replaces only some of the rows of its days.
    """
    ledger = replacement.ledger
    if ledger is None or ledger.kind is not LedgerKind.READINGS or replacement.own:
        return ()
    return (_published(replacement, rows), _days(ledger.source))


def _published(replacement: Replacement, rows: Block) -> TableAfter:
    """The rows that stay and those that the publish adds, as `publish_script` has it."""
    table, day = replacement.table, replacement.day
    stays = f"t.{day} BETWEEN @first_day AND @last_day AND t.{day} IN UNNEST(@run_days) AND {replacement.kept_rows or 'FALSE'}"
    stay, new = (", ".join(f"{alias}.{name}" for name in table.columns) for alias in "tn")
    added = f"""SELECT {new}
FROM (
{rows.sql.rstrip().removesuffix(";")}
) AS n
WHERE n.{day} IN UNNEST(@run_days)"""
    query = f"""SELECT {stay}
FROM {table.name} AS t
WHERE {stays}
UNION ALL
{added}"""
    params = {"first_day": "DATE", "last_day": "DATE", "run_days": "ARRAY<DATE>", "day_reads": DAY_READS}
    return TableAfter(name=table.name, query=query, params=params | rows.params, of_whole_days=added)


def _days(source: str) -> TableAfter:
    """The days of the run, as far as what is read of them decides it: all of them are loaded."""
    query = f"""SELECT '{source}' AS source, r.day AS usage_date, r.source_table, TRUE AS is_loaded
FROM UNNEST(@day_reads) AS r"""
    return TableAfter(name=DAYS, query=query, params={"day_reads": DAY_READS})
