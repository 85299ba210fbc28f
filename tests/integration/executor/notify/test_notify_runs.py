"""Notifications of runs: the template's text, the outcome so far, and that no target changes a run's outcome or duration."""

import asyncio
import json
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest
import standardwebhooks
import trustme
import yaml

from services.executor.errors import StepError
from services.executor.notify.addresses import is_public
from services.executor.notify.delivery import Delivery
from services.executor.notify.destinations import Destination, TenantDestinations
from services.executor.notify.https import Guard
from services.executor.notify.mail import Mailer
from services.executor.notify.notification import Notification, NotificationKind, Report
from services.executor.notify.notifier import Notifier
from services.executor.notify.responses import NotDelivered
from services.executor.records import Run, RunStatus
from services.executor.runs.active import STOPPED, ActiveRuns
from services.executor.runs.cancel import Canceller
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.sources.credentials import SealedCredential
from services.executor.steps import STEP_TYPES
from services.executor.store import Store
from services.executor.templates.faults import TemplateError
from services.executor.templates.name import PipelineName
from services.executor.templates.parameters import resolve, to_json
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, StepContext, StepResult, Toolbox
from services.executor.templates.template import Template, parse_template
from services.platform.clock import SystemClock
from services.platform.errors import FailedPrecondition, InvalidArgument
from services.platform.kms.client import Kms
from services.platform.kms.credential_aad import associated_data
from services.platform.settings import REPOSITORY, ServiceSettings
from tests.integration.executor.runs.test_life import Begin, ended, slot
from tests.integration.executor.steps.test_steps import Does, Scripted
from tests.support.executor.fakes import RecordingLedger
from tests.support.executor.notify_targets import BROKEN, OK, answers, hangs, limits, poster, serving, to_loopback, trusting
from tests.unit.executor.templates.test_template_schema import SCHEMA

SECRET = "sixteen-letters!"
NAME = PipelineName(provider="gcp", domain="cost", template="billing")
ALWAYS = """
  - id: tell
    type: notify.webhook
    when: always
"""


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def template(tmp_path: Path) -> Callable[..., Template]:
    """A template whose first step `work` does what the test says; then come the steps given as YAML."""

    def make(steps: str, work: Does | None = None) -> Template:
        async def three(_: StepContext) -> StepResult:
            return StepResult(rows_processed=3)

        path = tmp_path / "told.yml"
        head = """\
            description: A test's.
            parameters:
              date: {type: date, required: true}
              team: {type: string}
              mail: {type: email}
            steps:
              - {id: work, type: test.work}
            """
        path.write_text(textwrap.dedent(head).rstrip() + textwrap.indent(textwrap.dedent(steps), "  "))
        section = Section.read(path, "told.yml", "a template")
        scope = Scope(folder=tmp_path, parameters={}, outputs={}, staging={}, tables={})
        types = {**STEP_TYPES, "test.work": lambda _section, _scope: Scripted(does=work or three)}
        return parse_template(NAME, section, scope, types)

    return make


def report_in(told: Notification) -> Report:
    assert isinstance(told.report, Report)
    return told.report


@dataclass(kw_only=True)
class Heard:
    """`templates.step.Notifications` that keep what they are given."""

    room: bool = True
    told: list[Notification] = field(default_factory=list)

    def accept(self, notification: Notification) -> bool:
        self.told.append(notification)
        return self.room


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def job_of(begin: Begin) -> Callable[..., Awaitable[PreparedRun]]:
    """A run of a template, its row written."""

    async def make(template: Template, **parameters: object) -> PreparedRun:
        job = await begin(date="2025-11-17")
        values = resolve(template.parameters, {"date": "2025-11-17", **parameters}, now=datetime(2025, 11, 18, tzinfo=UTC))
        return replace(job, template=template, values=values, run=replace(job.run, parameters=to_json(values)))

    return make


@asynccontextmanager
async def leading(tools: Toolbox, store: Store, quota: RecordingLedger) -> AsyncIterator[ActiveRuns]:
    runs = ActiveRuns(
        execute=lambda prepared, progress: execute(prepared, tools, progress),
        store=store,
        quota=quota,  # type: ignore[arg-type]
        clock=SystemClock(),
        max_concurrent=2,
        grace_seconds=8.0,
    )
    async with runs:
        yield runs


async def tells(store: Store, run: Run) -> dict[str, object]:
    """What the notifying step's line says, but for its cost."""
    lines = await store.list_step_logs(run.tenant_id, run.pipeline_logging_id)
    said = next({"status": line.status, **line.metadata} for line in lines if line.step_id == "tell" and line.status != "RUNNING")
    return {name: value for name, value in said.items() if name != "cost"}


type MakeTemplate = Callable[..., Template]
type JobOf = Callable[..., Awaitable[PreparedRun]]


async def test_a_run_that_worked_tells_its_rows(tools: Toolbox, store: Store, heard: Heard, template: MakeTemplate, job_of: JobOf) -> None:
    """The template's own words; Slack shows values literally, whatever their author wrote."""
    steps = """
      - id: tell
        type: notify.slack
        when: always
        message: "{team}: {pipeline} of {date} {status} <https://example.com|see>, {rows_processed} rows{error_message}"
      - id: bad_news
        type: notify.slack
        when: on_failure
      - id: plain
        type: notify.webhook
        when: always
    """
    job = await job_of(template(steps), team="<!channel> R&D")
    outcome = await execute(job, replace(tools, notifier=heard))

    assert (outcome.status, outcome.rows_processed) == (RunStatus.COMPLETED, 3)
    slack, webhook = sorted(heard.told, key=lambda told: told.kind)
    assert slack.text == "&lt;!channel&gt; R&amp;D: gcp-cost-billing of 2025-11-17 COMPLETED <https://example.com|see>, 3 rows"
    assert (slack.kind, slack.id) == (NotificationKind.SLACK, f"{job.run.pipeline_logging_id}_tell")
    assert webhook.text.startswith("gcp-cost-billing for 2025-11-17 COMPLETED, 3 rows after ")
    report = report_in(webhook)
    assert (report.tenant_id, report.pipeline, report.status) == (job.run.tenant_id, "gcp-cost-billing", RunStatus.COMPLETED)
    assert (report.dates, report.rows_processed, report.error_message) == ({"date": "2025-11-17"}, 3, None)
    assert await tells(store, job.run) == {"status": "COMPLETED", "notification": "queued"}


async def test_a_run_that_failed_tells_why(tools: Toolbox, heard: Heard, template: MakeTemplate, job_of: JobOf) -> None:
    """The reason is the tenant's text, cut; a mail's subject is one line."""

    async def fails(_: StepContext) -> StepResult:
        raise StepError("Line one.\r\nBcc: everybody@example.com" + "x" * 5000)

    steps = """
      - id: tell
        type: notify.email
        when: on_failure
        to: "{mail}"
        subject: "{pipeline}: {error_message}"
    """
    job = await job_of(template(steps, fails), mail="Ops.Team+gcp@example.com")
    await execute(job, replace(tools, notifier=heard))
    [told] = heard.told
    assert (told.to, report_in(told).status) == ("Ops.Team+gcp@example.com", RunStatus.FAILED)
    assert told.subject.startswith("gcp-cost-billing: Step work: Line one. Bcc: everybody@example.comxxx")
    assert len(told.subject) == 200
    assert len(report_in(told).error_message or "") == 1000


async def test_what_cannot_be_queued_changes_nothing(tools: Toolbox, store: Store, template: MakeTemplate, job_of: JobOf) -> None:
    """A full queue, and a mail without an address."""
    for steps, heard, more in (
        (ALWAYS, Heard(room=False), {}),
        ('\n- {id: tell, type: notify.email, when: always, to: "{mail}"}\n', Heard(), {"reason": "no address was given"}),
    ):
        job = await job_of(template(steps))
        outcome = await execute(job, replace(tools, notifier=heard))
        assert outcome.status is RunStatus.COMPLETED
        assert await tells(store, job.run) == {"status": "COMPLETED", "notification": "dropped", **more}


async def forever(_: StepContext) -> StepResult:
    await asyncio.Event().wait()
    return StepResult()


async def test_a_stopped_run_tells_how_it_ends(
    tools: Toolbox, store: Store, quota: RecordingLedger, heard: Heard, template: MakeTemplate, job_of: JobOf
) -> None:
    """Cancelled, out of time, and with its executor stopped: the status that its row has or gets, and the reason."""
    working = asyncio.Event()

    async def works(_: StepContext) -> StepResult:
        working.set()
        return await forever(_)

    jobs = {why: await job_of(template(ALWAYS, works)) for why in ("cancelled", "late", "stopped")}
    async with leading(replace(tools, notifier=heard), store, quota) as active:
        canceller = Canceller(store=store, quota=quota, active=active, clock=SystemClock())  # type: ignore[arg-type]
        active.start(jobs["cancelled"], slot(jobs["cancelled"].run))
        await working.wait()
        await canceller.cancel(jobs["cancelled"].run.tenant_id, jobs["cancelled"].run.pipeline_logging_id)

        late = replace(jobs["late"], run=replace(jobs["late"].run, deadline_at=datetime.now(UTC) + timedelta(seconds=0.5)))
        active.start(late, slot(late.run))
        rows = {why: await ended(store, quota, jobs[why].run) for why in ("cancelled", "late")}

        working.clear()
        active.start(jobs["stopped"], slot(jobs["stopped"].run))
        await working.wait()
    rows["stopped"] = await ended(store, quota, jobs["stopped"].run)

    told = {report_in(told).pipeline_logging_id: report_in(told) for told in heard.told}
    for why, status, message in (
        ("cancelled", RunStatus.CANCELLED, "The run was cancelled."),
        ("late", RunStatus.FAILED, "The run took longer than 3600 s and was stopped."),
        ("stopped", RunStatus.FAILED, STOPPED),
    ):
        report = told[jobs[why].run.pipeline_logging_id]
        assert (report.status, report.error_message) == (status, message)
        assert (rows[why].status, rows[why].error_message) == (status, message)


class OneTarget:
    """`Destinations`: the same for all."""

    def __init__(self, url: str, *, hangs: bool = False) -> None:
        self._url, self._hangs = url, hangs

    async def open(self, tenant_id: str, kind: NotificationKind) -> Destination:
        if self._hangs:
            await asyncio.Event().wait()
        return Destination(url=self._url, signing_secret=SECRET)


@pytest.mark.timeout(300)
async def test_no_target_changes_a_runs_outcome_or_its_time(
    ca: trustme.CA, tools: Toolbox, store: Store, quota: RecordingLedger, template: MakeTemplate, job_of: JobOf
) -> None:
    """One that hangs, refuses, answers 500 or redirects inside, and credentials or KMS that hang: the run ends as without a notification,
    long before the notification does; and what is inside hears nothing.
    """
    took = dict[str, float]()
    async with AsyncExitStack() as stack:
        inside = await stack.enter_async_context(serving(ca, answers(OK)))
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {inside.url()}\r\nContent-Length: 0\r\n\r\n".encode()
        hanging, broken, redirecting = [
            await stack.enter_async_context(serving(ca, answer)) for answer in (hangs, answers(BROKEN), answers(moved))
        ]
        destinations = {
            "none": None,
            "hangs": OneTarget(hanging.url()),
            "refuses": OneTarget("https://hooks.example.com:1/hook"),
            "is broken": OneTarget(broken.url()),
            "redirects": OneTarget(redirecting.url()),
            "is inside": OneTarget(inside.url()),
            "is not told": OneTarget("", hangs=True),
        }
        for what, destination in destinations.items():
            guard = Guard(is_public if what == "is inside" else lambda _: True, to_loopback)
            delivery = Delivery(
                destinations=destination or OneTarget(""), poster=poster(ca, guard), mailer=Mailer(None, trusting(ca)), clock=SystemClock()
            )
            bounds = limits(try_seconds=60, all_seconds=60, flush_seconds=0.5)
            job = await job_of(template(ALWAYS if destination else ""))
            async with Notifier(delivery, bounds) as notifier, leading(replace(tools, notifier=notifier), store, quota) as active:
                began = time.monotonic()
                active.start(job, slot(job.run))
                row = await ended(store, quota, job.run)
                took[what] = time.monotonic() - began
                if what in {"hangs", "is not told"}:
                    assert notifier._tenants, "the notification has ended before the run"
            assert (row.status, row.rows_processed, row.error_message) == (RunStatus.COMPLETED, 3, None)
        assert (hanging.connections, redirecting.connections, inside.connections) == (1, 1, 0)
    print({what: round(seconds, 2) for what, seconds in took.items()})  # noqa: T201 - shown with -s: what was measured
    # A step more is two more log lines; nothing else may be added. The machine may be busy, hence the seconds.
    assert all(seconds < took["none"] + 10 for seconds in took.values())


async def test_a_whole_run_tells_a_webhook(
    ca: trustme.CA,
    tools: Toolbox,
    store: Store,
    quota: RecordingLedger,
    template: MakeTemplate,
    job_of: JobOf,
    service_settings: ServiceSettings,
) -> None:
    """From a credential that KMS has sealed to a signed request."""
    async with serving(ca, answers(BROKEN, OK)) as server, Kms(service_settings) as kms:
        job = await job_of(template(ALWAYS))
        sealed = OneSealed(kms, {"url": server.url(), "signing_secret": SECRET})
        delivery = Delivery(
            destinations=TenantDestinations(sealed, kms),  # type: ignore[arg-type]
            poster=poster(ca),
            mailer=Mailer(None, trusting(ca)),
            clock=SystemClock(),
        )
        async with Notifier(delivery, limits()) as notifier, leading(replace(tools, notifier=notifier), store, quota) as active:
            active.start(job, slot(job.run))
            await ended(store, quota, job.run)
    told = [standardwebhooks.Webhook(SECRET.encode()).verify(request.body, request.headers) for request in server.requests]
    assert len(told) == 2
    assert (told[0], told[1]["type"], told[1]["data"]["tenant_id"]) == (told[1], "run.completed", job.run.tenant_id)
    assert told[1]["data"]["pipeline_logging_id"] == job.run.pipeline_logging_id


class OneSealed:
    """The credentials service with one tenant's target in it, sealed by the real KMS."""

    def __init__(self, kms: Kms, payload: dict[str, str], *, sealed_for: str | None = None) -> None:
        self._kms, self._payload, self._sealed_for = kms, payload, sealed_for

    async def get(self, tenant_id: str, provider: str) -> SealedCredential:
        if tenant_id == "nobody":
            raise FailedPrecondition("CREDENTIALS_MISSING", "Set them first.")
        name = associated_data(tenant_id=self._sealed_for or tenant_id, provider=provider, credential_id="c1")
        sealed = await self._kms.encrypt(json.dumps(self._payload).encode(), name)
        return SealedCredential(tenant_id=tenant_id, provider=provider, credential_id="c1", ciphertext=sealed.ciphertext)


async def test_targets_open_for_their_tenant_only(service_settings: ServiceSettings) -> None:
    async with Kms(service_settings) as kms:

        async def opened(payload: dict[str, str], tenant_id: str = "acme", sealed_for: str | None = None) -> Destination:
            sealed = OneSealed(kms, payload, sealed_for=sealed_for)
            return await TenantDestinations(sealed, kms).open(tenant_id, NotificationKind.SLACK)  # type: ignore[arg-type]

        assert (await opened({"webhook_url": "https://hooks.slack.com/x"})).url == "https://hooks.slack.com/x"
        assert "secret" not in repr(await opened({"url": "https://a.example/secret", "signing_secret": "secret"}))
        for wanted, reason in (
            (opened({"webhook_url": "x"}, tenant_id="nobody"), "credentials_missing"),
            (opened({"webhook_url": "x"}, sealed_for="other"), "seal_broken"),
            (opened({"project_id": "x"}), "target_unreadable"),
        ):
            with pytest.raises(NotDelivered) as caught:
                await wanted
            assert (caught.value.reason, caught.value.again) == (reason, False)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ('{id: tell, type: notify.slack, message: "{secret}"}', "{secret} is not known here"),
        ('{id: tell, type: notify.slack, message: "{date.year}"}', "{date.year} is not known here"),
        ('{id: tell, type: notify.slack, message: "{date!r}"}', "{date} is not known here"),
        ('{id: tell, type: notify.slack, message: "{date:>1000000000}"}', "{date} is not known here"),
        ('{id: tell, type: notify.slack, message: "a { b"}', "message: "),
        ("{id: tell, type: notify.slack, subject: x}", "a step has no `subject`"),
        ("{id: tell, type: notify.webhook, to: ops@example.com}", "a step has no `to`"),
        ("{id: tell, type: notify.webhook, url: https://example.com}", "a step has no `url`"),
        ("{id: tell, type: notify.email}", "a step needs `to`"),
        ('{id: tell, type: notify.email, to: "{team}"}', "of a parameter of type email"),
        ('{id: tell, type: notify.email, to: "{mail}, x@example.com"}', "of a parameter of type email"),
        ("{id: tell, type: notify.email, to: nobody}", "of a parameter of type email"),
    ],
)
def test_a_bad_step_names_its_line(template: MakeTemplate, step: str, says: str) -> None:
    with pytest.raises(TemplateError) as caught:
        template(f"\n- {step}\n")
    assert str(caught.value).startswith("told.yml:8:")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "ops",
            "ops@example",
            "@example.com",
            "a b@example.com",
            "ops@example.com,x@example.com",
            "ops@example.com\r\nBcc: x@example.com",
        ),
        *("<ops@example.com>", '"ops"@example.com', "ops@-example.com", "ops@example..com", ".ops@example.com", "öps@example.com", 7.0),
        *("ops@[127.0.0.1]", "x" * 65 + "@example.com", "ops@" + "x." * 130 + "com", "Ops <ops@example.com>", "ops@example.com\n"),
    ],
)
def test_an_address_is_checked_when_the_run_is_asked_for(template: MakeTemplate, address: object) -> None:
    with pytest.raises(InvalidArgument) as caught:
        resolve(template(ALWAYS).parameters, {"date": "2025-11-17", "mail": address}, now=datetime(2025, 11, 18, tzinfo=UTC))
    assert caught.value.field == "parameters.mail"


@pytest.mark.parametrize("address", ["ops@example.com", "o'hara_x.y+z@mail.example.co.uk", "x@xn--bcher-kva.xn--p1ai"])
def test_addresses_that_people_have(template: MakeTemplate, address: str) -> None:
    values = resolve(template(ALWAYS).parameters, {"date": "2025-11-17", "mail": address}, now=datetime(2025, 11, 18, tzinfo=UTC))
    assert values["mail"] == address


def test_the_guides_own_template_works(template: MakeTemplate) -> None:
    """docs/notifications.md, its steps behind our parameters; editors find nothing wrong with them either."""
    guide = (REPOSITORY / "docs" / "notifications.md").read_text()
    steps = guide.split("# ... the run's work ...\n")[1].split("```")[0].replace("{alerts_to}", "{mail}")
    assert [step.type for step in template("\n" + steps).steps[1:]] == ["notify.slack", "notify.webhook", "notify.email"]
    jsonschema.validate({"description": "The guide's.", "steps": yaml.safe_load(steps)}, SCHEMA)


ON_CHANGES = """
  - id: costs_changed
    type: notify.webhook
    when: always
    needs: [work]
    changes_above: {amount: 100, share: 0.5}
    message: "{pipeline} moved: {cost_changes}"
"""
DAYS = [date(2025, 11, day) for day in (15, 16, 17)]


@pytest.mark.parametrize(("after", "moved"), [([1000, 1050, 3], ""), ([1101, 900, 3], "2025-11-15 +101.00 USD to 1101.00")])
async def test_a_message_only_when_published_costs_have_changed_enough(
    template: MakeTemplate, job_of: JobOf, tools: Toolbox, heard: Heard, store: Store, after: list[int], moved: str
) -> None:
    """By more than an amount, or than a share of what the day cost; what has not is not named."""
    moves = [
        {"usage_date": day, "currency": "USD", "before": Decimal(before), "after": Decimal(now), "was_final": False}
        for day, before, now in zip(DAYS, (1000, 1000, 2), after, strict=True)
    ]

    async def publishes(_: StepContext) -> StepResult:
        return StepResult(rows_processed=3, outputs={"cost_moves": moves})

    job = await job_of(template(ON_CHANGES, publishes))
    await execute(job, replace(tools, notifier=heard))
    assert [one.text for one in heard.told] == ([f"gcp-cost-billing moved: {moved}"] if moved else [])
    logs = await store.list_step_logs(job.run.tenant_id, job.run.pipeline_logging_id)
    assert logs[-1].metadata["notification"] == ("queued" if moved else "not_due")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ("{}", "changes_above needs an amount, or a share such as 0.1, or both"),
        ("{amount: much}", "amount must be a number from 0"),
        ("{share: -0.1}", "share must be a number from 0"),
        ("{amount: true}", "amount must be a number from 0"),
    ],
)
def test_what_is_no_limit_is_refused(template: MakeTemplate, limits: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        template(ON_CHANGES.replace("{amount: 100, share: 0.5}", limits))
