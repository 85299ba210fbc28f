"""`convergence templates`: the pipelines that can be run."""

from typing import Annotated

import typer
from convergence.cli.exits import ExitCode
from convergence.cli.invocation import Invocation
from convergence.cli.noun import Noun
from convergence.cli.options import Pipeline, UsageProblem, read_pipeline
from convergence.cli.output.cells import names, shown, span
from convergence.cli.output.dialect import as_json
from convergence.cli.output.table import column, sentence
from convergence.cli.repository import Repository
from convergence.executor.v1 import template_pb2
from google.protobuf.json_format import MessageToDict

_STATUSES = {ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE}
"""The tool means the same by them."""
noun = Noun("templates", "Pipelines that can be run.")


@noun.command("list", example="convergence templates list")
def list_templates(cli: Invocation) -> None:
    """List the templates."""
    columns = (
        column("PIPELINE", _name),
        column("PARAMETERS", lambda row: names(_parameter(one) for one in row.parameters)),
        sentence("WHAT IT DOES", lambda row: row.description),
    )
    cli.printer.rows(cli.client.pipelines.templates(), columns, empty="There are no templates.")


@noun.command("show", example="convergence templates show gcp/cost/billing --json | jq .body_schema")
def show_template(cli: Invocation, pipeline: Pipeline) -> None:
    """Show a template: its parameters, its steps, and the JSON Schema of a run's body."""
    wanted = read_pipeline(pipeline).lower()
    found = {_name(one): one for one in cli.client.pipelines.templates()}
    if wanted not in found:
        raise UsageProblem(f"There is no pipeline {wanted}. There are {', '.join(found) or 'none'}.")
    template = found[wanted]
    fields = (
        ("pipeline", wanted),
        ("what it does", template.description),
        ("fails after", span(template.timeout_seconds)),
        ("runs that overlap", template.overlap),
        ("days of one run", f"at most {template.most_days}"),
        ("steps", names(step.id for step in template.steps)),
    )
    cli.printer.record(template, fields)
    if cli.printer.is_json:
        return
    columns = (
        column("PARAMETER", lambda row: row.name),
        column("TYPE", lambda row: names(row.choices) if row.choices else row.type),
        column("REQUIRED", lambda row: shown(row.required)),
        column("DEFAULT", lambda row: shown(MessageToDict(row.default))),
        column("SCHEDULED", lambda row: shown(MessageToDict(row.scheduled))),
        sentence("WHAT FOR", lambda row: shown(row.description)),
    )
    cli.printer.table("Parameters", template.parameters, columns)
    if template.HasField("body_schema"):
        cli.printer.part("JSON Schema of the body", style="bold")
        cli.printer.text(as_json(MessageToDict(template.body_schema), indent=2))


@noun.command("check", example="convergence templates check configs/gcp/cost/billing.yml")
def check_template(
    cli: Invocation, file: Annotated[str, typer.Argument(metavar="FILE", help="A template's YAML file, in a clone of the repository.")]
) -> None:
    """Name all faults of a template's file. Needs a clone of the repository. Ends with 1 if there are any."""
    repository = Repository.here()
    status = repository.run(repository.python, "-m", "tools.check_template", repository.within(file), quietly=True)
    if cli.printer.is_json:
        cli.printer.json({"file": file, "good": status.code == 0, "faults": status.lines})
    for line in [] if cli.printer.is_json else status.lines:
        cli.printer.text(line)
    cli.end(status.code if status.code in _STATUSES else ExitCode.BROKEN)


def _name(template: template_pb2.Template) -> str:
    return f"{template.provider}/{template.domain}/{template.template}"


def _parameter(one: template_pb2.TemplateParameter) -> str:
    return one.name if one.required else f"[{one.name}]"
