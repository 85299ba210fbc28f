"""Checks all SQL of the repository; exits with 1 if there is a problem."""

import sys
from pathlib import Path

from tools.check_sql.checker import Checker
from tools.check_sql.problem import Problem
from tools.check_sql.sources import added_columns, block_files, blocks, composed, stray_sql, tables, template_problems, views

ROOT = Path(__file__).resolve().parents[2]


def check(root: Path) -> tuple[int, list[Problem]]:
    """The number of checked blocks and DDL statements, and the problems."""
    ddl = tables(root)
    seen = views(root)
    checker = Checker([*ddl.values(), *(table.staging for table in ddl.values()), *seen.values()])
    statements = [(path, block) for path, table in ddl.items() for block in (table.create, added_columns(table))]
    statements += [(path, view.bare) for path, view in seen.items()]
    problems = [problem for path, block in statements for problem in checker.check(block, path)]
    checked = len(statements)
    for path, block in blocks(block_files(root)):
        checked += 1
        problems += [block] if isinstance(block, Problem) else checker.check(block, path)
    for path, block in composed(root):
        checked += 1
        problems += checker.check(block, path)
    return checked, [*problems, *stray_sql(root), *template_problems(root)]


def main() -> None:
    """Prints `file:line: message` for each problem."""
    checked, problems = check(ROOT)
    for problem in problems:
        print(str(problem).removeprefix(f"{ROOT}/"), file=sys.stderr)
    print(f"SQL: {checked} statements and scripts analyzed, {len(problems)} problems")
    raise SystemExit(1 if problems else 0)


if __name__ == "__main__":
    main()
