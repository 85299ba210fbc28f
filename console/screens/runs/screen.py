"""The screen."""

from console.screens.runs.listing import show_runs
from console.screens.runs.live_run import follow_run
from console.screens.runs.one_run import cancel_run, queue_again, run_again, show_run
from console.screens.runs.start import choose_template, show_form, start_run
from console.web.screen import Screen, get, post
from console.web.session import Audience

RUNS = Screen(
    name="runs",
    title="Runs",
    path="/runs",
    audience=Audience.TENANT,
    endpoints=(
        get("/runs", show_runs),
        get("/runs/new", choose_template),
        get("/runs/new/{provider}/{domain}/{template}", show_form),
        post("/runs/new/{provider}/{domain}/{template}", start_run),
        get("/runs/{pipeline_logging_id}", show_run),
        get("/runs/{pipeline_logging_id}/events", follow_run),
        post("/runs/{pipeline_logging_id}/cancel", cancel_run),
        post("/runs/{pipeline_logging_id}/again", run_again),
        post("/runs/{pipeline_logging_id}/queue-again", queue_again),
    ),
)
