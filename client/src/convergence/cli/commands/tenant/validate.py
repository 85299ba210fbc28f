"""`convergence validate`: a dry run."""

import typer
from convergence.cli.exits import ExitCode
from convergence.cli.invocation import Invocation
from convergence.cli.noun import declare
from convergence.cli.options import BodyFile, Parameters, Pipeline, read_parameters, read_pipeline
from convergence.cli.output.cells import dollars, names, pairs, shown, size
from convergence.cli.output.own_commands import in_commands
from convergence.cli.output.table import column, number, sentence
from google.protobuf.json_format import MessageToDict


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    declare(app, "validate", path="validate", example="convergence validate gcp/cost/billing -p date=yesterday")(validate)


def validate(cli: Invocation, pipeline: Pipeline, *, param: Parameters = None, body: BodyFile = "") -> None:
    """Say what a run would read, cost and fail with, without running it. Uses no quota. Ends with 1 if it would fail."""
    name, parameters = read_pipeline(pipeline), read_parameters(param, body)
    answer = cli.client.pipelines.validate(name, parameters)
    fields = (
        ("valid", shown(answer.valid)),
        ("parameters", pairs(MessageToDict(answer.parameters))),
        ("days", f"{answer.first_day} to {answer.last_day}" if answer.first_day else "-"),
        ("days not over", names(answer.days_not_over)),
        ("would read", size(answer.bytes_read)),
        ("would cost", f"{dollars(answer.cost_usd)}, of it {dollars(answer.tenant_cost_usd)} on the tenant's own bill"),
    )
    cli.printer.record(answer, fields)
    if not cli.printer.is_json:
        problems = (column("STEP", lambda row: row.step_id), sentence("PROBLEM", lambda row: in_commands(row.message)))
        cli.printer.table("Problems", answer.problems, problems)
        steps = (
            column("STEP", lambda row: row.step_id),
            column("TYPE", lambda row: row.step_type),
            number("READS", lambda row: size(row.bytes_read)),
            number("COST", lambda row: dollars(row.cost_usd)),
        )
        cli.printer.table("Steps", answer.steps, steps)
    cli.end(ExitCode.OK if answer.valid else ExitCode.FAILED)
