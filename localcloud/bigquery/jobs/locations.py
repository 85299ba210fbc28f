"""Gives jobs and tables a location, and holds jobs to it, as BigQuery does; local-bigquery says US to everything.

From "Dataset locations" and the REST reference of jobs: a job runs in one location. It is the location that the job names, or else that of
its datasets. The job sees nothing of other locations: "Not found: Dataset p:d was not found in location EU". A request about a job must
name its location, too, unless it is US or EU. Without the location, or with a wrong one, there is no such job. Tables are where their
dataset is.

BigQuery may be less strict here: a job's default dataset must be in its location even if the SQL names no table of it. Calls that are not
jobs (metadata, insertAll, the Storage API) have no location. The Storage API's sessions say `locations/us`.
"""

import functools
import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from local_bigquery.api import jobs as jobs_api
from local_bigquery.api import uploads
from local_bigquery.catalog import metadata, tables
from local_bigquery.errors import BigQueryError, not_found
from local_bigquery.jobs import merge, query, runner
from local_bigquery.models import Dataset, Job
from local_bigquery.sql import script

from localcloud.bigquery import http
from localcloud.bigquery.version import require_known_version

US = "US"
MULTI_REGIONS = frozenset({US, "EU"})
NAMED = re.compile(r"`(?P<project>[\w-]+)\.(?P<dataset>\w+)\.[^`]+`")
OF_A_JOB = re.compile(rb"/(?:jobs|queries)/[^/]+(?:/cancel)?$")
INTERNAL = "emulator"
"""The project that holds the results of queries."""

type Dependent = Callable[..., Any]

# The functions that are wrapped here, as other modules have left them when this one is installed.
_wrapped: dict[str, Callable[..., Any]] = {}
# Locations of the current request: the one that it names for a new job; the one that it names for an existing job ("" if none); and the
# job's own. A view that is created without a job has none.
_named: ContextVar[str | None] = ContextVar("named", default=None)
_asked: ContextVar[str | None] = ContextVar("asked", default=None)
_running: ContextVar[str | None] = ContextVar("running", default=None)


def install() -> None:
    """Wraps the functions that make, find and run jobs; after all other modules. RuntimeError if the version is not the known one."""
    require_known_version()
    # Their callers look them up by name at every call; routes have their own references.
    for owner, name, ours in (
        *((query, "execute", execute), (jobs_api, "with_rows", with_rows), (tables, "defaults", defaults)),
        *((runner, "submit", submit), (runner, "_job", job), (runner, "get", get), (uploads, "_start", start)),
    ):
        _wrapped[name] = getattr(owner, name)
        setattr(owner, name, ours)
    for module in (query, script, merge):
        module.translate = checked(module.translate)
    runner.HANDLERS["load"] = loading(runner.HANDLERS["load"])
    naming: dict[Any, Callable[[Any], str | None]] = {
        jobs_api.insert_job: lambda body: body.jobReference and body.jobReference.location,
        jobs_api.run_query: lambda body: body.location,
    }
    found = {endpoint: named(endpoint, location) for endpoint, location in naming.items()}
    http.ROUTES = tuple(replace(route, answer=found.get(route.answer, route.answer)) for route in http.ROUTES)
    for route in jobs_api.router.routes:  # the application makes its own of them with the first request
        route.endpoint = found.get(route.endpoint, route.endpoint)
    served = {getattr(route, "endpoint", None) for route in jobs_api.router.routes} & {route.answer for route in http.ROUTES}
    if not served >= set(found.values()):
        raise RuntimeError("local-bigquery has changed: jobs are handed in at other endpoints")


def location_of(project: str, dataset: str) -> str | None:
    """Where a dataset is; None if there is none, or it holds results."""
    stored = metadata.load(Dataset, project, dataset)
    return (stored.location or US) if stored else None


def check(project: str, dataset: str | None, location: str | None) -> None:
    """Raises BigQueryError (notFound) for a dataset that is elsewhere. A dataset that does not exist is reported by other functions."""
    if (
        location
        and dataset
        and project != INTERNAL
        and (there := location_of(project, dataset)) is not None
        and there.lower() != location.lower()
    ):
        raise BigQueryError("notFound", f"Not found: Dataset {project}:{dataset} was not found in location {location}")


def submit(project_id: str, job_id: str, configuration: Any, upload: str | None = None) -> Job:
    """`runner.submit`: the job has a location from then on, in the thread that runs it, too."""
    token = _running.set(_named.get() or _inferred(project_id, configuration) or US)
    try:
        return _wrapped["submit"](project_id, job_id, configuration, upload)
    finally:
        _running.reset(token)


def job(project_id: str, job_id: str | None, configuration: Any) -> Job:
    """`runner._job`."""
    location, made = _running.get(), _wrapped["_job"](project_id, job_id, configuration)
    if location in {None, US}:
        return made
    return made.replace(
        id=f"{project_id}:{location}.{job_id}",
        selfLink=f"/bigquery/v2/projects/{project_id}/jobs/{job_id}?location={location}",
        jobReference=made.jobReference.replace(location=location),
    )


def get(project_id: str, job_id: str) -> Job:
    """`runner.get`: for who asks in the job's location."""
    found, asked = _wrapped["get"](project_id, job_id), _asked.get()
    there = found.jobReference.location or US
    if asked is not None and (asked.lower() != there.lower() if asked else there not in MULTI_REGIONS):
        raise not_found("Job", f"{project_id}:{job_id}")
    return found


def execute(cur: Any, project_id: str, job_id: str | None, config: Any, *args: Any, **more: Any) -> Any:
    """`query.execute`."""
    if default := config.defaultDataset:
        check(default.projectId or project_id, default.datasetId, _running.get())
    return _wrapped["execute"](cur, project_id, job_id, config, *args, **more)


def checked(translate: Callable[..., Any]) -> Callable[..., Any]:
    """`translate`: refuses tables that are elsewhere."""

    def translated(tree: Any, context: Any) -> Any:
        done = translate(tree, context)
        for project, dataset, _ in context.referenced:
            check(project, dataset, _running.get())
        return done

    return translated


def loading(run: Callable[..., Any]) -> Callable[..., Any]:
    """`load.run`: refuses a table that is elsewhere."""

    def load(cur: Any, config: Any, upload: str | None) -> Any:
        project, dataset, _ = tables.reference(config.destinationTable)
        check(project, dataset, _running.get())
        return run(cur, config, upload)

    return load


def named(endpoint: Dependent, location: Callable[[Any], str | None]) -> Dependent:
    """An endpoint that is handed a job; `location` reads its body."""

    @functools.wraps(endpoint)
    def serve(project_id: str, body: Any) -> Any:
        token = _named.set(location(body))
        try:
            return endpoint(project_id=project_id, body=body)
        finally:
            _named.reset(token)

    return serve


def start(project_id: str, body: Job, upload: str) -> Any:
    """`uploads._start`: of a load job with its file."""
    return named(
        lambda project_id, body: _wrapped["_start"](project_id, body, upload), lambda body: body.jobReference and body.jobReference.location
    )(project_id, body)


def with_rows(payload: dict[str, Any], rows: list[str]) -> Any:
    """`with_rows`: the answer says where its job is."""
    if reference := payload.get("jobReference"):
        payload = payload | {"location": reference.location} if "location" in payload else payload
    return _wrapped["with_rows"](payload, rows)


def defaults(project_id: str, dataset_id: str, table_id: str) -> Any:
    """`tables.defaults`: of a new table."""
    made, location = _wrapped["defaults"](project_id, dataset_id, table_id), location_of(project_id, dataset_id) or US
    return made if location == US else made.replace(location=location)


class AskedLocation:
    """ASGI middleware: remembers which location a request about a job names."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves a request."""
        if scope["type"] == "http" and OF_A_JOB.search(scope["path"].encode()):
            _asked.set(parse_qs(scope["query_string"].decode()).get("location", [""])[0])
        await self._app(scope, receive, send)


def _inferred(project_id: str, configuration: Any) -> str | None:
    """Where the datasets are that a job names, for one that names no location."""
    if (load := configuration.load) is not None:
        return location_of(*tables.reference(load.destinationTable)[:2])
    if (asked := configuration.query) is None:
        return None
    if (default := asked.defaultDataset) is not None:
        return location_of(default.projectId or project_id, default.datasetId)
    places = (location_of(name["project"], name["dataset"]) for name in NAMED.finditer(asked.query or ""))
    return next(filter(None, places), None)
