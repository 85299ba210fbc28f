"""All templates: the files below `configs/`, and which of them can be run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from services.executor.staging.shape import StagingShape
from services.executor.templates.faults import Fault, TemplateError
from services.executor.templates.name import PipelineName
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, StepType
from services.executor.templates.template import Template, parse_template
from services.platform.bigquery.ddl import load_tables

NOT_TEMPLATES = frozenset({"bigquery", "envoy", "cloud_scheduler"})
"""Folders of configs/ without templates."""
SUFFIX = ".yml"


class Templates(Protocol):
    """The current templates."""

    @property
    def templates(self) -> Mapping[PipelineName, Template]:
        """Those that can be run."""
        ...

    def faults_of(self, name: PipelineName) -> tuple[Fault, ...]:
        """Why this template cannot be run; empty for one that can, and for one that does not exist."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalog:
    """All templates. A broken one is absent from `templates`, unless a last good version of it is still in use; `broken` says why, by
    path.
    """

    templates: Mapping[PipelineName, Template]
    broken: Mapping[str, TemplateError]

    def faults_of(self, name: PipelineName) -> tuple[Fault, ...]:
        """Why this template cannot be run; empty for one that can, and for one that does not exist."""
        error = self.broken.get(f"{name.path}{SUFFIX}")
        return error.faults if error and name not in self.templates else ()


def load_catalog(configs: Path, step_types: Mapping[str, StepType]) -> Catalog:
    """Reads every template below `configs`. Raises ValueError only for unreadable DDL, which is ours and not a template's."""
    scope = load_scope(configs)
    templates, broken = dict[PipelineName, Template](), dict[str, TemplateError]()
    for path in sorted(configs.glob(f"*/*/*{SUFFIX}")):
        source = path.relative_to(configs).as_posix()
        if source.split("/")[0] in NOT_TEMPLATES:
            continue
        try:
            template = read_template(path, source, scope, step_types)
            templates[template.name] = template
        except TemplateError as error:
            broken[source] = error
    return Catalog(templates=templates, broken=broken)


def load_scope(configs: Path) -> Scope:
    """What templates may refer to: the tables of tenants' datasets and the staging tables. Raises ValueError for unreadable DDL."""
    tables = load_tables(configs / "bigquery" / "tenant")
    shapes = [*load_tables(configs / "bigquery" / "staging").values(), *(table.staging for table in tables.values())]
    staging = {table.name: StagingShape.of(table) for table in shapes}
    return Scope(folder=configs, parameters={}, outputs={}, staging=staging, tables=tables)


def read_template(path: Path, source: str, scope: Scope, step_types: Mapping[str, StepType]) -> Template:
    """One file; `source` is its path below configs/. Raises TemplateError with all its faults, whatever is in it."""
    name = PipelineName.of(*source.removesuffix(SUFFIX).split("/"))
    try:
        if name is None or name.path != source.removesuffix(SUFFIX):
            raise _whole(source, "folders and file must be named with lower-case letters, digits and underscores")
        section = Section.read(path, source, "a template")
        return parse_template(name, section, replace(scope, folder=path.parent), step_types)
    except TemplateError:
        raise
    except Exception as error:  # a file that causes any error must not prevent the other templates from running
        raise _whole(source, f"it cannot be read ({type(error).__name__})") from error


def _whole(source: str, message: str) -> TemplateError:
    return TemplateError(Fault(source=source, line=1, column=1, message=message))


def carried_over(before: Catalog, now: Catalog) -> Catalog:
    """The new catalog, with the last good version of each template that has just been broken, so that a typo fails no runs."""
    broken = {name for source in now.broken if (name := PipelineName.parse(source.removesuffix(SUFFIX)))}
    kept = {name: template for name, template in before.templates.items() if name in broken}
    return replace(now, templates={**kept, **now.templates})
