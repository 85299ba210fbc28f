"""The screen."""

from console.screens.setup.credentials import (
    check_credentials,
    delete_credentials,
    show_credential_form,
    store_credentials,
    try_notification,
)
from console.screens.setup.overview import show_setup
from console.screens.setup.queue import retry_queued_run, show_queue, show_queued_run
from console.screens.setup.schedules import (
    backfill_schedule,
    choose_template,
    create_schedule,
    delete_schedule,
    pause_schedule,
    show_schedule,
    show_schedule_form,
    show_schedules,
)
from console.web.screen import Screen, get, post
from console.web.session import Audience

SETUP = Screen(
    name="setup",
    title="Set-up",
    path="/setup",
    audience=Audience.TENANT,
    endpoints=(
        get("/setup", show_setup),
        get("/setup/credentials/{provider}", show_credential_form),
        post("/setup/credentials/{provider}", store_credentials),
        post("/setup/credentials/{provider}/check", check_credentials),
        post("/setup/credentials/{provider}/test", try_notification),
        post("/setup/credentials/{provider}/delete", delete_credentials),
        get("/setup/schedules", show_schedules),
        get("/setup/schedules/new", choose_template),
        get("/setup/schedules/new/{provider}/{domain}/{template}", show_schedule_form),
        post("/setup/schedules/new/{provider}/{domain}/{template}", create_schedule),
        get("/setup/schedules/{config_id}", show_schedule),
        post("/setup/schedules/{config_id}/pause", pause_schedule),
        post("/setup/schedules/{config_id}/delete", delete_schedule),
        post("/setup/schedules/{config_id}/backfill", backfill_schedule),
        get("/setup/queue", show_queue),
        get("/setup/queue/{run_id}", show_queued_run),
        post("/setup/queue/{run_id}/retry", retry_queued_run),
    ),
)
