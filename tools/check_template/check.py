"""All faults of one template, from all that can find some."""

import os
from dataclasses import replace
from pathlib import Path

import yaml

from services.executor.steps import STEP_TYPES
from services.executor.templates.catalog import NOT_TEMPLATES, SUFFIX, load_scope, read_template
from services.executor.templates.faults import Fault, TemplateError
from tools.check_template.schema_faults import schema_faults
from tools.check_template.sql_faults import sql_faults


class NotATemplate(ValueError):
    """The path is not `configs/PROVIDER/DOMAIN/TEMPLATE.yml` with DDL in `configs/bigquery`."""


def check_template(path: Path) -> list[Fault]:
    """The faults in order of file, line and column; `source` of each is its path from the current directory. Raises NotATemplate."""
    configs, source = _configs_of(path)
    scope = load_scope(configs)
    template, found = None, list[Fault]()
    try:
        template = read_template(path, source, scope, STEP_TYPES)
    except TemplateError as error:
        found += error.faults
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError):  # one of the faults already
        node = None
    if isinstance(node, yaml.MappingNode):
        # The loader's words are better, where both object to a line.
        said = {(fault.source, fault.line) for fault in found}
        found += [fault for fault in schema_faults(node, source) if (fault.source, fault.line) not in said]
        found += sql_faults(node, source, configs, template)
    return sorted(replace(fault, source=os.path.relpath(configs / fault.source)) for fault in dict.fromkeys(found))


def _configs_of(path: Path) -> tuple[Path, str]:
    """The folder configs/ that a template is in, and the template's path below it."""
    if not path.is_file():
        raise NotATemplate(f"{path}: there is no such file. Name a template: configs/PROVIDER/DOMAIN/TEMPLATE{SUFFIX}")
    parts = path.resolve().parts
    configs = Path(*parts[:-3])
    if path.suffix != SUFFIX or not (configs / "bigquery" / "tenant").is_dir() or parts[-3] in NOT_TEMPLATES:
        raise NotATemplate(f"{path}: this is no template. Templates are configs/PROVIDER/DOMAIN/TEMPLATE{SUFFIX}")
    return configs, "/".join(parts[-3:])
