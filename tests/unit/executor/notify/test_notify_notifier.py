"""The queue of notifications: retries, expiry, drops, and how it ends with the process."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
import standardwebhooks
import structlog
import trustme

from services.executor.notify.delivery import Delivery
from services.executor.notify.destinations import Destination
from services.executor.notify.mail import Mailer
from services.executor.notify.notification import Notification, NotificationKind
from services.executor.notify.notifier import Limits, Notifier
from services.executor.notify.responses import Attempt, NotDelivered
from services.platform.clock import SystemClock
from tests.support.executor.notify_targets import (
    BROKEN,
    NAME,
    OK,
    Answers,
    answers,
    hangs,
    limits,
    notification,
    poster,
    serving,
    trusting,
)

SECRET = "sixteen-letters!"


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


class Endings:
    """How notifications have ended, by id, as the log says."""

    def __init__(self) -> None:
        self.lines = list[structlog.typing.EventDict]()

    def of(self, identity: str) -> tuple[str, str, int] | None:
        found = [line for line in self.lines if line["notification_id"] == identity]
        return next(((line["event"].removeprefix("notification_"), line["reason"], line.get("tries", 0)) for line in found), None)

    async def wait(self, *identities: str) -> None:
        async with asyncio.timeout(20):
            while any(self.of(identity) is None for identity in identities):
                await asyncio.sleep(0.01)


@pytest.fixture
async def endings() -> AsyncIterator[Endings]:
    found = Endings()
    with structlog.testing.capture_logs() as lines:
        found.lines = lines
        yield found


class OneTarget:
    """`Destinations` for tenants who all have the same one."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination

    async def open(self, tenant_id: str, kind: NotificationKind) -> Destination:
        return self.destination


def notifier(ca: trustme.CA, url: str, bounds: Limits | None = None) -> Notifier:
    destinations = OneTarget(Destination(url=url, signing_secret=SECRET))
    delivery = Delivery(destinations=destinations, poster=poster(ca), mailer=Mailer(None, trusting(ca)), clock=SystemClock())
    return Notifier(delivery, bounds or limits(), first_wait=0.05)


async def test_a_target_that_is_broken_for_a_while_hears_once_with_one_id(ca: trustme.CA, endings: Endings) -> None:
    """500, then a cut connection, then 200: the same id and body each time, each try with a signature that holds."""

    async def mends(writer: asyncio.StreamWriter, number: int) -> None:
        if number != 1:
            await answers(BROKEN, b"", OK)(writer, number)

    async with serving(ca, mends) as server, notifier(ca, server.url()) as queue:
        assert queue.accept(notification())
        await endings.wait("one")
    assert endings.of("one") == ("delivered", "", 3)
    receiver = standardwebhooks.Webhook(SECRET.encode())
    told = [receiver.verify(request.body, request.headers) for request in server.requests]
    assert [request.headers["webhook-id"] for request in server.requests] == ["one"] * 3
    assert told[0] == told[1] == told[2]
    assert told[0]["type"] == "run.completed"
    assert told[0]["data"] == {
        "tenant_id": "acme",
        "pipeline": "gcp-cost-billing",
        "pipeline_logging_id": "11111111-2222-3333-4444-555555555555",
        "attempt": 1,
        "status": "COMPLETED",
        "parameters": {"date": "2025-11-17"},
        "rows_processed": 3,
        "error_message": None,
        "started_at": "2025-11-18T06:00:00+00:00",
        "reported_at": "2025-11-18T06:01:00+00:00",
        "message": "told",
    }


async def test_slack_is_sent_what_slack_understands(ca: trustme.CA, endings: Endings) -> None:
    async with serving(ca, answers(OK)) as server, notifier(ca, server.url()) as queue:
        assert queue.accept(notification(kind=NotificationKind.SLACK))
        await endings.wait("one")
    [request] = server.requests
    assert (request.body, "webhook-signature" in request.headers) == (b'{"text": "told"}', False)


async def test_a_target_that_asks_for_time_is_given_it(ca: trustme.CA, endings: Endings) -> None:
    moments = list[float]()

    async def busy(writer: asyncio.StreamWriter, number: int) -> None:
        moments.append(time.monotonic())
        await answers(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", OK)(writer, number)

    async with serving(ca, busy) as server, notifier(ca, server.url()) as queue:
        queue.accept(notification())
        await endings.wait("one")
    assert endings.of("one") == ("delivered", "", 2)
    assert moments[1] - moments[0] >= 1


@pytest.mark.parametrize("status", [302, 400, 404, 410])
async def test_what_no_time_heals_is_tried_once(ca: trustme.CA, endings: Endings, status: int) -> None:
    answer = f"HTTP/1.1 {status} No\r\nLocation: https://{NAME}/\r\nContent-Length: 0\r\n\r\n".encode()
    async with serving(ca, answers(answer)) as server, notifier(ca, server.url()) as queue:
        queue.accept(notification())
        await endings.wait("one")
    assert (endings.of("one"), len(server.requests)) == (("refused", f"answered_{status}", 1), 1)


@pytest.mark.parametrize(("answer", "seconds", "reason"), [(hangs, 0.2, "timeout"), (answers(BROKEN), 2.0, "answered_500")])
async def test_the_time_for_all_tries_ends(ca: trustme.CA, endings: Endings, answer: Answers, seconds: float, reason: str) -> None:
    """On a busy machine an answer takes longer than what is enough for a server that never answers."""
    bounds = limits(try_seconds=seconds, all_seconds=max(1.0, seconds))
    began = time.monotonic()
    async with serving(ca, answer) as server, notifier(ca, server.url(), bounds) as queue:
        queue.accept(notification())
        await endings.wait("one")
    found = endings.of("one")
    assert found is not None
    assert (found[:2], found[2] >= 2) == (("expired", reason), True)
    assert time.monotonic() - began < 5


async def test_logs_hold_the_host_and_no_more(ca: trustme.CA, endings: Endings) -> None:
    gone = answers(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
    async with serving(ca, gone) as server, notifier(ca, server.url("/T0/secret?token=secret")) as queue:
        queue.accept(notification(text="secret"))
        await endings.wait("one")
    [line] = endings.lines
    assert (line["host"], line["kind"]) == (NAME, NotificationKind.WEBHOOK)
    assert "secret" not in str(line)


async def test_a_bug_in_delivery_is_logged_without_its_text(endings: Endings) -> None:
    async def broken(_: Notification, _attempt: Attempt) -> str:
        raise RuntimeError("https://hooks.example.com/secret")

    async with Notifier(broken, limits()) as queue:
        queue.accept(notification())
        await endings.wait("one")
    assert endings.of("one") == ("refused", "broke_RuntimeError", 1)
    assert "secret" not in str(endings.lines)


class Slow:
    """Deliveries that wait until they are let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.under_way = list[str]()
        self.most = 0

    async def __call__(self, told: Notification, attempt: Attempt) -> str:
        self.under_way.append(told.report.tenant_id)
        self.most = max(self.most, len(self.under_way))
        try:
            await self.go.wait()
        finally:
            self.under_way.remove(told.report.tenant_id)
        return NAME


@pytest.fixture
async def slow() -> Slow:
    return Slow()


async def settled(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_a_full_queue_drops_and_says_so(slow: Slow, endings: Endings) -> None:
    """One tenant has a quarter of it, all together have the whole; what was accepted is delivered."""
    async with Notifier(slow, limits(queue=8, max_concurrent=4)) as queue:
        accepted = [queue.accept(notification(tenant_id=f"t{number % 6}", identity=str(number))) for number in range(18)]
        slow.go.set()
        await endings.wait(*map(str, range(18)))
    # Six tenants in turn: the first eight find room; after that the queue is full.
    assert accepted == [True] * 8 + [False] * 10
    found = [endings.of(str(number)) for number in range(18)]
    assert found == [("delivered", "", 1)] * 8 + [("dropped", "queue_full", 0)] * 10


async def test_a_tenant_whose_targets_hang_leaves_room_for_others(slow: Slow, endings: Endings) -> None:
    """It holds a quarter of the queue and of the tries; another tenant's notification is delivered meanwhile."""

    async def deliver(told: Notification, attempt: Attempt) -> str:
        return NAME if told.report.tenant_id == "good" else await slow(told, attempt)

    async with Notifier(deliver, limits(queue=40, max_concurrent=8)) as queue:
        accepted = [queue.accept(notification(tenant_id="bad", identity=f"bad{number}")) for number in range(12)]
        assert queue.accept(notification(tenant_id="good", identity="good"))
        await endings.wait("good")
        assert (accepted, slow.most) == ([True] * 10 + [False] * 2, 2)
        slow.go.set()


async def test_who_waits_for_its_next_try_holds_no_room(endings: Endings) -> None:
    async def deliver(told: Notification, attempt: Attempt) -> str:
        if told.id == "again":
            raise NotDelivered("answered_503", again=True, wait=30.0)
        return NAME

    async with Notifier(deliver, limits(max_concurrent=1, flush_seconds=0.0)) as queue:
        queue.accept(notification(identity="again"))
        queue.accept(notification(identity="other"))
        await endings.wait("other")
    assert endings.of("other") == ("delivered", "", 1)
    assert endings.of("again") == ("dropped", "answered_503", 1)


async def test_stopping_flushes_what_can_be_delivered(slow: Slow, endings: Endings) -> None:
    queue = Notifier(slow, limits())
    async with queue:
        queue.accept(notification())
        await settled(lambda: slow.most == 1)
        asyncio.get_running_loop().call_later(0.2, slow.go.set)
    assert endings.of("one") == ("delivered", "", 1)
    assert not queue.accept(notification(identity="late"))
    assert endings.of("late") == ("dropped", "stopping", 0)


async def test_stopping_waits_for_a_bounded_time(ca: trustme.CA, endings: Endings) -> None:
    """A target that hangs holds up the process's end for as long as the setting says."""
    async with serving(ca, hangs) as server:
        async with notifier(ca, server.url(), limits(try_seconds=60, all_seconds=60, flush_seconds=0.5)) as queue:
            queue.accept(notification())
            await server.heard.wait()
            began = time.monotonic()
        assert 0.4 < time.monotonic() - began < 3
    assert endings.of("one") == ("dropped", "no_answer", 1)


async def test_accepting_returns_at_once(slow: Slow) -> None:
    """It is a plain function, so no caller is kept waiting; and it forgets tenants that have nothing left."""
    async with Notifier(slow, limits()) as queue:
        assert queue.accept(notification()) is True
        slow.go.set()
        await settled(lambda: not queue._tenants)


def tasks_of_ours() -> set[asyncio.Task[object]]:
    """Without those of gRPC servers that other tests of the session keep up, which come and go."""
    return {task for task in asyncio.all_tasks() if "AioServer" not in repr(task)}


async def test_nothing_is_left_open(ca: trustme.CA, endings: Endings) -> None:
    """Many targets, good and bad, and no task of ours remains."""
    before = tasks_of_ours()
    async with serving(ca, hangs) as hanging, serving(ca, answers(OK)) as good:
        url = {"hang": hanging.url(), "good": good.url(), "none": f"https://{NAME}:1/"}

        class Each:
            async def open(self, tenant_id: str, kind: NotificationKind) -> Destination:
                return Destination(url=url[tenant_id], signing_secret=SECRET)

        delivery = Delivery(destinations=Each(), poster=poster(ca), mailer=Mailer(None, trusting(ca)), clock=SystemClock())
        async with Notifier(delivery, limits(try_seconds=0.3, all_seconds=1.0), first_wait=0.05) as queue:
            for tenant_id in url:
                queue.accept(notification(tenant_id=tenant_id, identity=tenant_id))
            await endings.wait(*url)
    assert [(found[0], found[1]) for name in url if (found := endings.of(name))] == [
        ("expired", "timeout"),
        ("delivered", ""),
        ("expired", "ConnectError"),
    ]
    assert tasks_of_ours() <= before
