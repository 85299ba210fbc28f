"""TestNotification: what a tenant hears of its target, and what is recorded of the last delivery of each."""

import asyncio
import http.client
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import standardwebhooks
import trustme
from convergence.executor.v1 import notification_service_pb2 as messages

from services.executor.notify.addresses import is_public
from services.executor.notify.delivery import Delivery
from services.executor.notify.destinations import Destination
from services.executor.notify.https import Guard, Poster
from services.executor.notify.mail import Mailer
from services.executor.notify.notification import NotificationKind
from services.executor.notify.notifier import Notifier
from services.executor.notify.outcomes import KNOWN_FOR, DeliveryStatus, Outcome, is_news, problem_of
from services.executor.notify.responses import NotDelivered
from services.executor.notify.signature import sign
from services.executor.servicers.notification import TESTS_A_MINUTE, NotificationServicer
from services.platform.clock import SystemClock
from services.platform.errors import FailedPrecondition, ResourceExhausted, Unavailable
from services.platform.settings import REPOSITORY
from tests.support.executor.notify_targets import (
    BROKEN,
    OK,
    Answers,
    answers,
    hangs,
    limits,
    notification,
    poster,
    serving,
    to_loopback,
    trusting,
)

SECRET = "sixteen-letters!"
SET_AT = datetime(2025, 11, 17, tzinfo=UTC)
NEVER = b"HTTP/1.1 410 Gone\r\nContent-Length: 6\r\n\r\nsecret"
MOVED = b"HTTP/1.1 307 Moved\r\nLocation: https://inside/\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


class Noted:
    """`OutcomeRecords` that keeps them."""

    def __init__(self) -> None:
        self.outcomes = list[Outcome]()

    async def note(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class Target:
    """`Destinations` with one target, or an error."""

    def __init__(self, url: str, error: NotDelivered | None = None) -> None:
        self._url, self._error = url, error

    async def open(self, tenant_id: str, kind: NotificationKind) -> Destination:
        if self._error:
            raise self._error
        return Destination(url=self._url, signing_secret=SECRET, set_at=SET_AT)


@asynccontextmanager
async def service(
    target: Target, posting: Poster, ca: trustme.CA, noted: Noted, *, try_seconds: float = 20.0
) -> AsyncIterator[NotificationServicer]:
    delivery = Delivery(destinations=target, poster=posting, mailer=Mailer(None, trusting(ca)), clock=SystemClock())
    async with Notifier(delivery, limits(try_seconds=try_seconds), records=noted) as notifier:
        yield NotificationServicer(notifier, SystemClock(), monotonic=lambda: 0.0)


def ask(provider: str = "webhook", tenant_id: str = "acme") -> messages.TestNotificationRequest:
    return messages.TestNotificationRequest(tenant_id=tenant_id, provider=provider)


@pytest.mark.parametrize(
    ("answer", "status", "http_status", "message"),
    [
        (answers(OK), "DELIVERED", 200, "The target took the message."),
        (answers(NEVER), "REFUSED", 410, "The target answered HTTP 410."),
        (answers(MOVED), "REFUSED", 307, "The target answered HTTP 307. Redirects are not followed: set the address that it leads to."),
        (answers(BROKEN), "FAILED", 500, "The target answered HTTP 500."),
        (answers(b""), "FAILED", 0, "The connection broke before the target had answered."),
        (hangs, "FAILED", 0, "The target did not answer in time."),
    ],
)
async def test_the_answer_says_what_the_target_did_and_the_outcome_is_recorded(
    ca: trustme.CA, answer: Answers, status: str, http_status: int, message: str
) -> None:
    """Once, signed, and with nothing of what it answered but the status."""
    noted = Noted()
    patience = 0.5 if answer is hangs else 20.0
    async with serving(ca, answer) as server, service(Target(server.url()), poster(ca), ca, noted, try_seconds=patience) as tried:
        found = await tried.TestNotification(ask(), None)
    assert (found.status, found.http_status, found.message) == (status, http_status, message)
    assert found.duration_ms >= 0
    [request] = server.requests
    event = standardwebhooks.Webhook(SECRET.encode()).verify(request.body, request.headers)
    assert (event["type"], event["data"]) == (
        "notification.test",
        {"tenant_id": "acme", "message": "A test of your notifications: they arrive here."},
    )
    [outcome] = noted.outcomes
    assert (outcome.tenant_id, outcome.kind, outcome.set_at, outcome.status) == ("acme", NotificationKind.WEBHOOK, SET_AT, status)
    assert outcome.problem == ("" if status == "DELIVERED" else message)


async def test_addresses_inside_are_refused_as_for_every_notification(ca: trustme.CA) -> None:
    noted = Noted()
    async with serving(ca, answers(OK)) as inside:
        for url, message in (
            (inside.url(), "The host has an address that is not on the public internet, so it is not called."),
            (f"http://127.0.0.1:{inside.port}/", "Only https addresses are called."),
        ):
            async with service(Target(url), poster(ca, Guard(is_public, to_loopback)), ca, noted) as tried:
                found = await tried.TestNotification(ask("SLACK"), None)
            assert (found.status, found.http_status, found.message) == ("REFUSED", 0, message)
    assert inside.connections == 0
    assert [outcome.status for outcome in noted.outcomes] == [DeliveryStatus.REFUSED] * 2


async def test_plain_http_to_this_machine_is_for_a_laptop(ca: trustme.CA) -> None:
    heard = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        heard.set()
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    posting = Poster(Guard(lambda _: True), trusting(ca), SystemClock(), allow_plain=True)
    async with await asyncio.start_server(take, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with service(Target(f"http://127.0.0.1:{port}/"), posting, ca, Noted()) as tried:
            found = await tried.TestNotification(ask(), None)
        assert (found.status, found.http_status, heard.is_set()) == ("DELIVERED", 204, True)
    async with service(Target("http://192.0.2.1/"), posting, ca, Noted()) as tried:
        assert (await tried.TestNotification(ask(), None)).message == "Only https addresses are called."


async def test_a_target_cannot_be_flooded_with_tests(ca: trustme.CA) -> None:
    """Another tenant has tests of its own."""
    async with serving(ca, answers(OK)) as server, service(Target(server.url()), poster(ca), ca, Noted()) as tried:
        for _ in range(TESTS_A_MINUTE):
            await tried.TestNotification(ask(), None)
        with pytest.raises(ResourceExhausted) as refused:
            await tried.TestNotification(ask(), None)
        assert (await tried.TestNotification(ask(tenant_id="other"), None)).status == "DELIVERED"
    assert (refused.value.reason, refused.value.retry_after) == ("RATE_LIMITED", timedelta(seconds=10))
    assert len(server.requests) == TESTS_A_MINUTE + 1


@pytest.mark.parametrize("provider", ["gcp", "EMAIL", "", "nothing"])
async def test_other_providers_take_no_notifications(ca: trustme.CA, provider: str) -> None:
    async with service(Target(""), poster(ca), ca, Noted()) as tried:
        with pytest.raises(FailedPrecondition) as refused:
            await tried.TestNotification(ask(provider), None)
    assert refused.value.reason == "NOT_A_NOTIFICATION_TARGET"


@pytest.mark.parametrize("error", [FailedPrecondition("CREDENTIALS_MISSING", "None."), Unavailable("KMS_UNAVAILABLE", "Later.")])
async def test_what_cannot_be_opened_is_no_outcome_of_the_target(ca: trustme.CA, error: FailedPrecondition | Unavailable) -> None:
    noted = Noted()
    failure = NotDelivered(error.reason.lower(), again=isinstance(error, Unavailable), our_error=error)
    async with service(Target("", failure), poster(ca), ca, noted) as tried:
        with pytest.raises(type(error)) as raised:
            await tried.TestNotification(ask(), None)
    assert (raised.value, noted.outcomes) == (error, [])


async def test_a_runs_notification_is_recorded_when_it_has_ended(ca: trustme.CA) -> None:
    """Once, with its last outcome, however often it was tried."""
    noted = Noted()
    async with serving(ca, answers(BROKEN, BROKEN, NEVER)) as server:
        delivery = Delivery(destinations=Target(server.url()), poster=poster(ca), mailer=Mailer(None, trusting(ca)), clock=SystemClock())
        async with Notifier(delivery, limits(), first_wait=0.01, records=noted) as queue:
            assert queue.accept(notification())
            async with asyncio.timeout(20):
                while not noted.outcomes:
                    await asyncio.sleep(0.01)
    assert [(one.status, one.problem) for one in noted.outcomes] == [("REFUSED", "The target answered HTTP 410.")]
    assert len(server.requests) == 3


def test_the_same_outcome_is_news_once_an_hour() -> None:
    first = Outcome(
        tenant_id="acme",
        kind=NotificationKind.SLACK,
        set_at=SET_AT,
        status=DeliveryStatus.DELIVERED,
        problem="",
        at=SET_AT + timedelta(days=1),
    )
    assert is_news(None, first)
    assert not is_news(first, replace(first, at=first.at + KNOWN_FOR - timedelta(seconds=1)))
    assert is_news(first, replace(first, at=first.at + KNOWN_FOR))
    assert is_news(first, replace(first, status=DeliveryStatus.FAILED, problem="x"))
    assert is_news(first, replace(first, set_at=first.at)), "the target was set anew, and what was known of it is gone"


@pytest.mark.parametrize(
    "reason", ["ReadError", "broke_ValueError", "RemoteProtocolError", "port_refused", "kms_unavailable", "answered_302"]
)
def test_every_reason_has_a_sentence(reason: str) -> None:
    assert problem_of(reason).endswith(".")
    assert "_" not in problem_of(reason)


def test_the_receiver_in_the_guide_takes_ours_and_no_strangers(tmp_path: Path) -> None:
    """Run as the guide says, on another port."""
    blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs/notifications.md").read_text(), re.DOTALL)
    [verify, receiver] = blocks
    (tmp_path / "verify.py").write_text(verify)
    once = receiver.replace("8099), Receiver).serve_forever()", "0), Receiver)").replace('HTTPServer(("', 'server = HTTPServer(("')
    (tmp_path / "receiver.py").write_text(
        f"{once}\nprint(server.server_port, flush=True)\nfor _ in range(2):\n    server.handle_request()\n"
    )
    body, now = b'{"type": "notification.test"}', int(time.time())
    statuses = list[int]()
    with subprocess.Popen(
        [sys.executable, "-u", "receiver.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as run:
        assert run.stdout
        port = int(run.stdout.readline())
        for headers in (sign(SECRET, message_id="one", timestamp=now, body=body), {}):
            calling = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            calling.request("POST", "/", body, headers)
            statuses.append(calling.getresponse().status)
            calling.close()
        printed = run.stdout.read()
    assert statuses == [204, 401]
    assert printed == f"{body.decode()}\na stranger's\n"
