"""Finds our SQL: DDL, the services' queries, and the pipelines' templates."""

import ast
import itertools
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import yaml

from services.executor.costs.compose import compose_question
from services.executor.costs.dimensions import COLUMNS, MOST_GROUPED, Filter, read_filters, read_group_by
from services.executor.costs.question import Granularity, Metric, Question
from services.executor.steps import STEP_TYPES
from services.executor.steps.bigquery_publish import Publish
from services.executor.steps.bigquery_sql import Sql
from services.executor.steps.dq_checks import Checks
from services.executor.templates.catalog import load_catalog
from services.executor.templates.step import SHARED, sql_file
from services.executor.templates.step_reader import TemplateStep
from services.platform.bigquery.ddl import Table, View, load_tables, load_views
from services.platform.bigquery.sql import Block, load_blocks
from tools.check_sql.problem import Problem

_SQL = re.compile(
    r"\s*(SELECT\s|WITH\s+\w+\s+AS|INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|MERGE\s|(CREATE|ALTER|DROP|TRUNCATE)\s+[A-Z]+\s)"
)
# They compose ALTER TABLE from a table's own DDL, the query of a step's checks, and the publish script; the composed SQL is analyzed, too.
_MAY_HOLD_SQL = {
    Path("services/platform/bigquery/ddl.py"),
    Path("services/executor/checks/compose.py"),
    Path("services/executor/costs/compose.py"),
    Path("services/executor/steps/publish_script.py"),
    Path("services/executor/steps/beside/after_publish.py"),
    Path("services/executor/steps/beside/checked_script.py"),
    Path("services/executor/steps/beside/joint_script.py"),
    Path("services/executor/steps/ledger_measures.py"),
    Path("services/executor/steps/ledger_script.py"),
    Path("services/executor/steps/replace_rows.py"),
    Path("services/executor/steps/run_end_script.py"),
    Path("services/executor/steps/exports_script.py"),
    Path("services/executor/steps/publish_section.py"),
    # Read an export in a tenant's own project, whose columns are not ours: there is no DDL to analyze it with.
    Path("services/executor/sources/gcp/export_rows.py"),
    Path("services/executor/sources/gcp/handover/flatten_sql.py"),
    Path("services/executor/sources/gcp/handover/hand_over.py"),
    Path("services/clouds/gcp/checked_project.py"),
}


def tables(root: Path) -> dict[Path, Table]:
    """All our tables with their DDL files: control, tenants' and staging ones, which statements may use together."""
    found = {}
    for folder in sorted((root / "configs" / "bigquery").iterdir()):
        for name, table in load_tables(folder).items():
            found[folder / f"{name}.sql"] = table
    return found


def views(root: Path) -> dict[Path, View]:
    """Our views with their DDL files."""
    found = load_views(root / "configs" / "bigquery" / "control")
    return {root / "configs" / "bigquery" / "control" / f"{name}.sql": view for name, view in found.items()}


def block_files(root: Path) -> list[Path]:
    """Every file of named blocks."""
    templates = (path for path in root.glob("configs/*/*/*.sql") if path.parts[-3] != "bigquery")
    ours = (path for name in ("queries", "migrations") for path in root.glob(f"services/**/{name}.sql"))
    return sorted([*ours, *root.glob(f"configs/{SHARED}/*.sql"), *templates])


def blocks(files: list[Path]) -> Iterator[tuple[Path, Block | Problem]]:
    """Every block of the files; a Problem for a file that cannot be read or has no block, so that no check passes on nothing."""
    for path in files:
        try:
            found = load_blocks(path)
        except ValueError as error:
            line, _, message = str(error).removeprefix(f"{path}:").partition(": ")
            yield path, Problem(path=path, line=int(line), message=message)
            continue
        if not found:
            yield path, Problem(path=path, line=1, message="no statement found: each begins with a line `-- name: ...`")
        for block in found.values():
            yield path, block


def added_columns(table: Table) -> Block:
    """The statement that adds all of a table's columns to an older version of it."""
    return table.add_columns(table.columns)


def composed(root: Path) -> Iterator[tuple[Path, Block]]:
    """SQL composed by steps (checks' queries, publish scripts, what is read beside a publish) and of questions about costs. The executor
    reports a template that cannot be read.
    """
    composer = root / "services" / "executor" / "costs" / "compose.py"
    for question in cost_questions() if composer.is_file() else ():
        yield composer, compose_question(question).block
    for template in load_catalog(root / "configs", STEP_TYPES).templates.values():
        for step in template.steps:
            for block in _blocks_of(step):
                yield root / "configs" / f"{template.name.path}.yml", block


def _blocks_of(step: TemplateStep) -> tuple[Block, ...]:
    match step.action:
        case Checks(query=query, first=None):
            return (query.block,)
        case Checks(query=query, first=Sql(block=block, block_of_whole_days=whole)):
            return (query.block, block, whole)
        case Publish(scripts=scripts, joint=joint):
            return (*scripts.values(), *joint.values())
        case Sql(block=block, block_of_whole_days=whole) if step.beside:
            return (block, whole)
        case _:
            return ()


def cost_questions() -> Iterator[Question]:
    """Questions that together use every piece that a query about costs is composed of: each metric with each granularity, each dimension as
    group and as filter, with and without an empty value, and with and without `top`.
    """
    names = [*COLUMNS, "tag:team"]
    values: list[tuple[Filter, ...]] = [read_filters([f"{name}={value}" for name in names]) for value in ("", "x")]
    for place, (granularity, metric) in enumerate(itertools.product(Granularity, Metric)):
        grouped = [names[(place + step) % len(names)] for step in range(MOST_GROUPED if place else 0)]
        for top, filters in ((0, values[place % 2]), (3 if grouped else 0, ())):
            yield Question(
                first=date(2025, 11, 1),
                last=date(2025, 11, 30),
                group_by=read_group_by(grouped),
                filters=filters,
                granularity=granularity,
                metric=metric,
                top=top,
            )


def stray_sql(root: Path) -> Iterator[Problem]:
    """SQL in a service's Python code, which would not be analyzed."""
    for path in sorted(root.glob("services/**/*.py")):
        if path.relative_to(root) in _MAY_HOLD_SQL:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.match(node.value):
                yield Problem(path=path, line=node.lineno, message="SQL in Python: move it to a named block of queries.sql")


def template_problems(root: Path) -> Iterator[Problem]:
    """Templates name their SQL as `file.sql#block`; each named block must exist."""
    for path in sorted(root.glob("configs/*/*/*.yml")):
        text = path.read_text()
        for reference in _references(yaml.safe_load(text)):
            file, _, name = reference.partition("#")
            line = text.count("\n", 0, text.find(reference)) + 1
            if not name or (found := sql_file(path.parent, file)) is None:
                problem = f"sql: {reference!r} is not `file.sql#block` of a file beside this one or in {SHARED}/"
                yield Problem(path=path, line=line, message=problem)
            elif name not in load_blocks(found):
                yield Problem(path=path, line=line, message=f"sql: {file} has no block {name}")


def _references(node: object) -> Iterator[str]:
    match node:
        case dict():
            for key, value in node.items():
                if key == "sql":
                    yield str(value)
                else:
                    yield from _references(value)
        case list():
            for value in node:
                yield from _references(value)
