"""Reads a step of type `bigquery.publish` from a template."""

from collections.abc import Sequence
from typing import Final

from services.executor.checks.own_rows import read_own_rows
from services.executor.sources.source import LEDGER_OUTPUTS, MONTHS_OUTPUTS
from services.executor.steps.beside.after_publish import tables_after
from services.executor.steps.bigquery_publish import Publish
from services.executor.steps.ledger_script import (
    DERIVED_FROM,
    EXPORTED,
    SOURCE_COLUMNS,
    SOURCE_VERSIONS,
    LedgerEntry,
    LedgerKind,
)
from services.executor.steps.publish_script import ACCEPT_LESS, Replacement, publish_scripts
from services.executor.steps.run_end_script import FENCES, RUNS
from services.executor.templates.faults import Faults, TemplateError
from services.executor.templates.months import MONTHS
from services.executor.templates.name import SEGMENT
from services.executor.templates.parameters import ParameterType
from services.executor.templates.period import DAY, DAYS
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, Step
from services.platform.bigquery.ddl import Table
from services.platform.bigquery.sql import Block, make_block

AMOUNTS: Final = ("FLOAT64", "NUMERIC")
MONTH_COLUMNS: Final = ("x_SourceId", "x_BillingPeriod")


def parse(section: Section, scope: Scope) -> Step:
    """Refuses, with TemplateError, everything that cannot be composed into the fenced replace."""
    table = scope.table(section)
    faults = Faults()
    faults.attempt(lambda: _check_parameters(section, scope), None)
    replacement = Replacement(
        table=table,
        day=faults.attempt(lambda: _column(section, "day", table, ("DATE",)), None) or "",
        own=faults.attempt(lambda: read_own_rows(section, table.create), None),
        currency=faults.attempt(lambda: _column(section, "currency", table, ("STRING",), required=False), None),
        cost=faults.attempt(lambda: _column(section, "cost", table, AMOUNTS, required=False), None),
        net_cost=faults.attempt(lambda: _column(section, "net_cost", table, AMOUNTS, required=False), None),
        ledger=faults.attempt(lambda: _ledger(section, scope, table), None),
    )
    rows = faults.attempt(lambda: _rows(section, scope, table), None)
    if rows is None or faults.found:
        raise TemplateError(*faults.found)
    scripts = publish_scripts(replacement, rows)
    meta = (FENCES, RUNS, *(replacement.ledger.tables if replacement.ledger else ()))
    after = tables_after(replacement, rows)
    tables = tuple(scope.tables[name] for name in meta)
    return Publish(replacement=replacement, rows=rows, scripts=scripts, meta=tables, tables_after=after)


def _check_parameters(section: Section, scope: Scope) -> None:
    if not scope.covers_days:
        rule = f"bigquery.publish replaces days: the template must declare a parameter `{DAY}` of type {ParameterType.DATE}, or {MONTHS}"
        raise section.error(rule, may_follow=True)
    if ACCEPT_LESS not in scope.parameters or scope.parameters[ACCEPT_LESS].type is not ParameterType.BOOLEAN:
        rule = f"bigquery.publish refuses a day that would lose more than half of its rows, unless the caller gives `{ACCEPT_LESS}`"
        raise section.error(f"{rule}: the template must declare that parameter, of type {ParameterType.BOOLEAN}", may_follow=True)


def _ledger(section: Section, scope: Scope, table: Table) -> LedgerEntry | None:
    """Reads `ledger: {source, service}`, `ledger: {source, derived_from}` or `ledger: {source, service, months: true}`."""
    if "ledger" not in section.keys:
        section.scalar("ledger")  # marks the key as known where it is absent
        for name, part in ((DAYS, "a day"), (MONTHS, "what a day holds")):
            if name in scope.parameters:
                rule = f"a template with the parameter `{name}` may read a part of {part} only"
                raise section.error(f"{rule}, so a publish in it needs `ledger`, which says what is kept")
        return None
    entry = section.section("ledger", "ledger")
    kind = _ledger_kind(entry)
    source = entry.text("source")
    if not SEGMENT.fullmatch(source):
        raise entry.error(f"the source `{source}` must be lower-case letters, digits and underscores", "source")
    service = None if kind is LedgerKind.DERIVED else _column(entry, "service", table, ("STRING",))
    derived_from = _derived_from(entry, scope) if kind is LedgerKind.DERIVED else None
    entry.finish()
    needed = {LedgerKind.DERIVED: {DERIVED_FROM: SOURCE_VERSIONS}, LedgerKind.READINGS: LEDGER_OUTPUTS, LedgerKind.MONTHS: MONTHS_OUTPUTS}
    if missing := [name for name, type_ in needed[kind].items() if scope.outputs.get(name) != type_]:
        rule = f"`ledger` needs `{missing[0]}` of the step that reads the source, which this step does not need"
        raise section.error(rule, "ledger", may_follow=True)
    if kind is LedgerKind.READINGS and table.columns.get(EXPORTED) != "TIMESTAMP":
        raise section.error(f"`ledger` needs a column {EXPORTED} of type TIMESTAMP in {table.name}, to know which rows are new", "ledger")
    if kind is LedgerKind.MONTHS and (lacking := [name for name in MONTH_COLUMNS if name not in table.columns]):
        raise section.error(f"`ledger` with `months` needs a column {lacking[0]} in {table.name}, to know what is replaced", "ledger")
    return LedgerEntry(source=source, service=service, kind=kind, derived_from=derived_from)


def _derived_from(entry: Section, scope: Scope) -> str:
    table = scope.table(entry, "derived_from")
    if lacking := [name for name, kind in SOURCE_COLUMNS.items() if table.columns.get(name) != kind]:
        rule = f"`derived_from` needs a column {lacking[0]} of type {SOURCE_COLUMNS[lacking[0]]} in {table.name}"
        raise entry.error(f"{rule}, to know whether a day is still as it was read", "derived_from")
    return table.name


def _ledger_kind(entry: Section) -> LedgerKind:
    is_derived, is_months = bool(entry.text("derived_from", "")), entry.flag("months")
    if is_derived and is_months:
        raise entry.error("`derived_from` and `months` exclude each other", "months")
    if is_derived:
        return LedgerKind.DERIVED
    return LedgerKind.MONTHS if is_months else LedgerKind.READINGS


def _rows(section: Section, scope: Scope, table: Table) -> Block:
    """The template's query, or all columns of the staging table unchanged."""
    if ("sql" in section.keys) == ("staging" in section.keys):
        raise section.error("bigquery.publish needs either `sql`, a query for the rows, or `staging`, whose rows are taken as they are")
    if "sql" in section.keys:
        block = scope.block(section)
        if not block.is_query:
            raise section.error(f"the block {block.name} must be one SELECT: the step itself makes the transaction around it", "sql")
        return block
    shape = scope.staging[section.text("staging", among=scope.staging)]
    if missing := [name for name in table.columns if name not in shape.columns]:
        raise section.error(f"{shape.name} has no column {missing[0]}, which {table.name} has", "staging")
    return make_block("staged_rows", f"SELECT {', '.join(table.columns)}\nFROM {shape.name}", {})


def _column(section: Section, key: str, table: Table, types: Sequence[str], *, required: bool = True) -> str | None:
    name = section.text(key) if required else section.text(key, "")
    if not name:
        return None
    if table.columns.get(name) not in types:
        raise section.error(f"`{name}` is no column of type {' or '.join(types)} of {table.name}", key)
    return name
