"""The work as a Prefect flow, served by this process; runs in the neighbours' environment."""

import uuid

import work
from prefect import flow, task

extract, check, publish = task(work.extract), task(work.check), task(work.publish)


@flow(log_prints=False)
def billing(day: str) -> None:
    """Three tasks, one after the other."""
    run = uuid.uuid4().hex
    rows = extract(day, run)
    check(day, run, rows)
    publish(day, run)


if __name__ == "__main__":
    billing.serve(name="bench", print_starting_message=False)
