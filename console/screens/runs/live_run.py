"""A run as it goes: server-sent events with the part of the page that changes, made from the API's own stream of the run."""

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from starlette.responses import Response, StreamingResponse

from console.gateway.api import Json
from console.gateway.errors import GatewayError
from console.screens.runs.one_run import GET, context_of
from console.web.screen import Visit

GATHER_SECONDS = 0.1
"""Events that come together make one part."""
RETRY_MS, LATER_MS = 2000, 5000
"""When a browser connects again after a cut, and when after this stream could not be followed."""
PART = "runs/run_part.html"


async def follow_run(visit: Visit) -> Response:
    """Ends with the run, with the session, and when the API's stream is cut: the browser then connects again and gets all of it."""
    try:
        events = _events(visit, await visit.api.get(GET, visit.names))
    except GatewayError as error:
        # After any other answer than a stream a browser does not connect again, so an outage is a stream that has nothing to say.
        if not (error.is_passing or error.status == HTTPStatus.TOO_MANY_REQUESTS):
            raise
        events = _nothing_now()
    return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _nothing_now() -> AsyncIterator[str]:
    yield f"retry: {LATER_MS}\n\n"


async def _events(visit: Visit, run: Json) -> AsyncIterator[str]:
    with visit.site.streams.taken() as is_taken:
        if not is_taken or run["status"] != "RUNNING":
            yield f"retry: {LATER_MS}\n\n{_part(visit, run)}"
        else:
            yield f"retry: {RETRY_MS}\n\n"
            try:
                async for text in _followed(visit):
                    yield text
            except GatewayError as error:
                # Too many watchers, an outage, a session that has ended: the next connection finds out.
                yield f": {error.reason}\nretry: {LATER_MS}\n\n"
            return
    if run["status"] != "RUNNING":
        yield "event: end\ndata: {}\n\n"


async def _followed(visit: Visit) -> AsyncIterator[str]:
    run: Json = {"steps": [], "dq_results": []}
    async with visit.api.stream(f"{GET}:watch", visit.names) as lines:
        events = _parsed(lines)
        following = asyncio.ensure_future(anext(events, None))
        is_new = False
        try:
            while visit.is_signed_in:
                done, _ = await asyncio.wait({following}, timeout=GATHER_SECONDS if is_new else None)
                if not done:
                    is_new = False
                    yield _part(visit, run)
                    continue
                event = following.result()
                if event is None:
                    break
                following = asyncio.ensure_future(anext(events, None))
                if _taken_in(run, event):
                    is_new = True
                elif not is_new:
                    yield ": the run goes on\n\n"
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    if is_new:
        yield _part(visit, run)
    if run.get("status", "RUNNING") != "RUNNING":
        yield "event: end\ndata: {}\n\n"


async def _parsed(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
    async for line in lines:
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))


def _taken_in(run: Json, event: dict[str, Any]) -> bool:
    """Adds an event of the stream to a run of GetRun's shape. False: it says nothing new."""
    match event["event"]:
        case "RUN":
            run.update({name: value for name, value in event["run"].items() if name not in {"steps", "dq_results"}})
        case "STEP":
            run["steps"].append(event["step"])
        case "QUALITY":
            run["dq_results"].append(event["dq_result"])
        case _:
            return False
    return "status" in run


def _part(visit: Visit, run: Json) -> str:
    html = visit.site.pages.render(PART, csrf=visit.session.csrf, session=visit.session, **context_of(run, visit.session))
    return f"event: part\ndata: {json.dumps({'html': html, 'status': run['status']})}\n\n"
