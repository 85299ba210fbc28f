"""Faults of the SQL that a template names, and of what its steps make of it, as Google's analyzer sees them."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from services.executor.steps.bigquery_publish import Publish
from services.executor.steps.bigquery_sql import MISSING, ROWS, Sql
from services.executor.steps.dq_checks import Checks
from services.executor.steps.run_end_script import EndOfRun
from services.executor.templates.faults import Fault
from services.executor.templates.step import sql_file
from services.executor.templates.template import Template
from services.platform.bigquery.ddl import load_tables
from services.platform.bigquery.sql import Block, parse_blocks
from tools.check_sql.checker import Checker
from tools.check_sql.problem import Problem

type Named = dict[str, tuple[Path, Block]]
"""The blocks of a template by the reference `file.sql#block`."""


def sql_faults(node: yaml.MappingNode, source: str, configs: Path, template: Template | None) -> Iterator[Fault]:
    """The faults in SQL files at their place there, those of composed SQL at the step. `template`: None if it cannot be loaded."""
    tables = [table for folder in ("tenant", "staging") for table in load_tables(configs / "bigquery" / folder).values()]
    checker = Checker([*tables, *(table.staging for table in tables)])
    named = _named(node, (configs / source).parent)
    problems = {reference: checker.check(block, path) for reference, (path, block) in named.items()}
    for found in problems.values():
        yield from (_fault(problem, configs) for problem in found)
    # What is composed of a faulty block is faulty again.
    if template and not any(problems.values()):
        yield from _of_steps(node, source, template, checker)


def _of_steps(node: yaml.MappingNode, source: str, template: Template, checker: Checker) -> Iterator[Fault]:
    for step in (step for step in template.steps if not step.is_included):
        messages = list[str]()
        match step.action:
            case Checks() as action:
                messages = [problem.message for problem in checker.check(action.query.block, Path(source))]
            case Publish() as action:
                messages = [problem.message for problem in checker.check(action.scripts[EndOfRun.LATER], Path(source))]
            case Sql() as action:
                messages = list(_last_row(action, checker))
        mark = _step_node(node, step.id).start_mark
        for message in messages:
            yield Fault(source=source, line=mark.line + 1, column=mark.column + 1, message=f"the SQL of the step {step.id}: {message}")


def _last_row(action: Sql, checker: Checker) -> Iterator[str]:
    """The last statement of a `bigquery.sql` script returns one row of what later steps need."""
    needed = {ROWS: "INT64", MISSING: "STRING", **action.OUTPUTS}
    found = checker.result(action.block)
    shown = ", ".join(f"{name} {kind}" for name, kind in needed.items())
    if found is None:
        yield f"block {action.block.name} must end with a SELECT of one row: {shown}"
        return
    for name, kind in needed.items():
        if name not in found:
            yield f"the last SELECT of block {action.block.name} lacks the column `{name}`; it returns one row: {shown}"
        elif _outer(found[name]) != _outer(kind):  # ZetaSQL does not spell out what is inside
            yield f"the last SELECT of block {action.block.name} returns `{name}` as {found[name]}, not {kind}"


def _outer(kind: str) -> str:
    return kind.partition("<")[0].strip().upper()


def _named(node: yaml.Node, folder: Path) -> Named:
    """The blocks that exist; the executor's own faults name the others."""
    found: Named = {}
    for reference in _references(node):
        file, _, name = reference.partition("#")
        path = sql_file(folder, file)
        try:
            block = parse_blocks(path.read_text(encoding="utf-8"), file).get(name) if path else None
        except (OSError, ValueError):
            continue
        if path and block:
            found[reference] = (path, block)
    return found


def _references(node: yaml.Node) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "sql" and isinstance(value, yaml.ScalarNode):
                yield str(value.value)
            else:
                yield from _references(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _references(value)


def _step_node(node: yaml.MappingNode, step: str) -> yaml.Node:
    for key, value in node.value:
        if key.value == "steps" and isinstance(value, yaml.SequenceNode):
            for entry in value.value:
                ids = [one.value for name, one in entry.value if name.value == "id"]
                if ids == [step]:
                    found: yaml.Node = entry
                    return found
    return node


def _fault(problem: Problem, configs: Path) -> Fault:
    source = problem.path.resolve().relative_to(configs).as_posix()
    return Fault(source=source, line=problem.line, column=problem.column, message=problem.message)
