"""The work as a Dagster job; runs in the neighbours' environment."""

import uuid
from typing import Any

import work
from dagster import Config, Definitions, Out, in_process_executor, job, op


class Day(Config):
    """What is given to a run."""

    day: str


@op(out=Out(dict))
def extract(config: Day) -> dict[str, Any]:
    """The day, the run's own id, and the number of rows."""
    run = uuid.uuid4().hex
    return {"day": config.day, "run": run, "rows": work.extract(config.day, run)}


@op(out=Out(dict))
def check(staged: dict[str, Any]) -> dict[str, Any]:
    """What was staged, checked."""
    work.check(staged["day"], staged["run"], staged["rows"])
    return staged


@op
def publish(staged: dict[str, Any]) -> None:
    """Replaces the day."""
    work.publish(staged["day"], staged["run"])


@job(executor_def=in_process_executor)
def billing() -> None:
    """Three ops, one after the other."""
    publish(check(extract()))


defs = Definitions(jobs=[billing])
