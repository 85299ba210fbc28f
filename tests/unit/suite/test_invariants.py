"""The judge of the tables: what is right passes, and each thing that is wrong is found by its name."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.auth.audit.chain import Head, extend
from services.scheduler.ids import backfill_run_id, fire_run_id, pipeline_logging_id
from tests.support.executor.billing_export import row
from tests.support.invariants import Observed, Sealed, Staging, Tables, TenantTables, hold, secrets_outside, violations
from tests.support.invariants.logs import log_violations

NOW, DAY = datetime(2026, 11, 26, 9, tzinfo=UTC), date(2026, 11, 20)
CONFIG, FIRE = "3f0b9a52-0000-4000-8000-000000000001", datetime(2026, 11, 26, 8, tzinfo=UTC)
FIRED, FILLED = fire_run_id(CONFIG, FIRE), backfill_run_id(CONFIG, DAY)
EXPORT = [row(DAY, hour, cost=1.5, project={"id": "shop", "labels": []}) for hour in range(2)]


def run(identity: str, status: str = "COMPLETED", **changes: Any) -> dict[str, Any]:
    error = None if status == "COMPLETED" else "The executor of this run was lost; run it again."
    times = {"started_at": NOW, "deadline_at": NOW + timedelta(minutes=30), "completed_at": NOW + timedelta(seconds=5)}
    cost = {"bytes_billed": 10, "bytes_read": 10, "slot_ms": 10}
    own = {"pipeline_logging_id": identity, "tenant_id": "acme", "status": status, "error_message": error, "claimed_by": "me"}
    schedule = {"trigger_type": "api", "run_id": None, "attempt": 1, "parameters": {"date": str(DAY)}, "is_final": None}
    return {**own, **times, **cost, **schedule, **changes}


def attempt(run_id: str, number: int, status: str) -> dict[str, Any]:
    return run(pipeline_logging_id(run_id, number), status, trigger_type="scheduler", run_id=run_id, attempt=number)


def scheduled(run_id: str, scheduled_time: datetime, retry_count: int, **parameters: str) -> dict[str, Any]:
    done = pipeline_logging_id(run_id, retry_count + 1)
    own = {"run_id": run_id, "config_id": CONFIG, "tenant_id": "acme", "state": "COMPLETED", "scheduled_time": scheduled_time}
    return own | {
        "retry_count": retry_count,
        "pipeline_logging_id": done,
        "error_message": None,
        "completed_at": NOW,
        "parameters": parameters,
    }


def billing(hour: int) -> dict[str, Any]:
    start = datetime(DAY.year, DAY.month, DAY.day, hour, tzinfo=UTC)
    own = {"usage_date": DAY, "usage_start_time": start, "service_description": "Compute Engine", "project_id": "shop", "currency": "USD"}
    return own | {"cost": 1.5, "credits_total": 0.0, "net_cost": 1.5}


def good() -> tuple[Tables, Observed]:
    """Two calls, a fire time that failed once, a backfilled day: four units, five ends."""
    tenant = TenantTables(
        runs=[
            run("a"),
            run("b", "CANCELLED", error_message="The run was cancelled."),
            attempt(FIRED, 1, "FAILED"),
            attempt(FIRED, 2, "COMPLETED"),
            attempt(FILLED, 1, "COMPLETED"),
        ],
        fences=[{"pipeline_logging_id": "b", "state": "CLOSED"}],
        billing=[billing(0), billing(1)],
        focus=[{"x_UsageDate": DAY, "BillingCurrency": "USD", "BilledCost": 1.5}] * 2,
        days=[{"usage_date": DAY, "row_count": 2, "version": 2, "source_version": 1, "focus_version": 2}],
        changes=[{"usage_date": DAY, "currency": "USD", "delta": "3.0"}],
        sources=[{"source": "gcp", "source_table": "t", "watermark": EXPORT[-1]["export_time"]}],
        step_logs=[{"tenant_id": "acme", "log_id": "1", "action": "CREDENTIAL_ADDED", "provider": "GCP"}],
        staging=[Staging(name="x_staging_a", created=NOW, expires=NOW + timedelta(days=1))],
    )
    ledger = {
        "tenant_id": "acme",
        "usage_date": NOW.date(),
        "pipelines_run_today": 4,
        "pipelines_run_month": 4,
        "pipelines_succeeded_today": 3,
        "pipelines_failed_today": 1,
        "concurrent_pipelines_running": 0,
        "live_runs": [],
        "uncosted_runs": ["b"],
        "runs_ended": 5,
        "bytes_billed": 40,
        "bytes_read": 50,
        "slot_ms": 0,
    }
    tables = Tables(
        ledger=[ledger],
        schedules=[{"config_id": CONFIG, "tenant_id": "acme", "is_active": True, "next_run_time": NOW}],
        scheduled_runs=[scheduled(FIRED, FIRE, 1), scheduled(FILLED, datetime(2026, 11, 20, tzinfo=UTC), 0, date=str(DAY))],
        credentials=[sealed("acme"), sealed("other")],
        tenants={"acme": tenant},
    )
    observed = Observed(
        exports={"acme": EXPORT},
        started={"acme": {"a", "b"}},
        by_key={("acme", "order"): {"a"}},
        cancelled={"acme": {"b"}},
        schedules={"acme": {CONFIG}},
        due={(CONFIG, FIRE)},
        backfilled={(CONFIG, DAY)},
        credentials={("acme", "GCP"): Sealed(acknowledged=[b"secret"])},
        daily_limits={"acme": 4},
    )
    return tables, observed


def sealed(tenant_id: str) -> dict[str, Any]:
    return {"tenant_id": tenant_id, "provider": "GCP", "credential_id": f"id of {tenant_id}", "encrypted_credentials": b"sealed"}


def decrypt(ciphertext: bytes, name: bytes) -> bytes:
    if name != b"v1|acme|GCP|id of acme":
        raise ValueError("another name")
    return b"a secret in it"


def with_rows(tables: Tables, name: str, change: Callable[[list[Any]], object]) -> Tables:
    rows: list[Any] = deepcopy(list(getattr(tables, name)))
    change(rows)
    changed: dict[str, Any] = {name: rows}
    return replace(tables, **changed)


def in_tenant(tables: Tables, name: str, change: Callable[[list[Any]], object]) -> Tables:
    tenant = tables.tenants["acme"]
    rows: list[Any] = deepcopy(list(getattr(tenant, name)))
    change(rows)
    return replace(tables, tenants={"acme": replace(tenant, **{name: rows})})


def put(number: int, **changes: object) -> Callable[[list[Any]], object]:
    return lambda rows: rows[number].update(changes)


def doubled(rows: list[Any]) -> None:
    rows.append(rows[0])


QUEUED = ("attempt", "claimed_by", "not_before")
CONTROL: Mapping[str, tuple[str, Callable[[list[Any]], object]]] = {
    "ledger.one_row_a_day": ("ledger", doubled),
    "ledger.no_slot_held": ("ledger", put(0, live_runs=[{"reservation_id": "x"}])),
    "ledger.uncosted_runs": ("ledger", put(0, uncosted_runs=["stranger"])),
    "ledger.daily_limit": ("ledger", put(0, pipelines_run_today=5)),
    "ledger.units": ("ledger", put(0, pipelines_run_month=5)),
    "ledger.units_today": ("ledger", put(0, pipelines_run_today=3)),
    "ledger.runs_ended": ("ledger", put(0, runs_ended=4)),
    "ledger.cost": ("ledger", put(0, bytes_read=60)),
    "ledger.succeeded": ("ledger", put(0, pipelines_succeeded_today=2)),
    "ledger.failed": ("ledger", put(0, pipelines_failed_today=2)),
    "queue.empty": (
        "queue",
        lambda rows: rows.append(dict.fromkeys(("state", "tenant_id", "run_id", *QUEUED))),
    ),
    "queue.queued_once": ("scheduled_runs", doubled),
    "queue.known": ("scheduled_runs", lambda rows: rows.pop(1)),
    "queue.run_id": ("scheduled_runs", put(0, scheduled_time=NOW)),
    "queue.ended": ("scheduled_runs", put(0, state="PENDING")),
    "queue.state": ("scheduled_runs", put(0, state="FAILED")),
    "queue.names_its_attempt": ("scheduled_runs", put(0, pipeline_logging_id="another")),
    "queue.attempts": ("scheduled_runs", put(0, retry_count=0)),
    "queue.end_is_whole": ("scheduled_runs", put(0, completed_at=None)),
    "queue.no_schedule_lost": ("schedules", list.clear),
    "queue.one_schedule": ("schedules", doubled),
    "queue.no_fire_time_lost": ("scheduled_runs", lambda rows: rows.pop(0)),
    "queue.no_backfill_lost": ("scheduled_runs", lambda rows: rows.pop(1)),
    "credentials.one": ("credentials", doubled),
    "credentials.none_lost": ("credentials", lambda rows: rows.pop(0)),
    "credentials.readable": ("credentials", put(0, credential_id="another")),
}
OF_TENANT: Mapping[str, tuple[str, Callable[[list[Any]], object]]] = {
    "runs.ended": ("runs", put(0, status="RUNNING")),
    "runs.one_end": ("runs", lambda rows: rows.append(run("a", "FAILED"))),
    "runs.end_is_whole": ("runs", put(0, completed_at=None)),
    "runs.error_is_for_the_tenant": ("runs", put(1, error_message="google.api_core.exceptions.Conflict")),
    "runs.fence_closed": ("fences", put(0, state="OPEN")),
    "runs.no_foreign_rows": ("step_logs", put(0, tenant_id="other")),
    "runs.none_lost": ("runs", lambda rows: rows.pop(0)),
    "runs.none_doubled": ("runs", lambda rows: rows.append(run("c"))),
    "runs.cancelled": ("runs", put(1, status="COMPLETED", error_message=None)),
    "queue.attempt_id": ("runs", put(2, pipeline_logging_id="another")),
    "queue.done_once": ("runs", put(2, status="COMPLETED", error_message=None)),
    "published.as_the_source": ("billing", doubled),
    "published.none_lost": ("focus", list.clear),
    "published.one_day_one_entry": ("days", doubled),
    "published.ledger_rows": ("days", put(0, row_count=3)),
    "published.versions": ("days", put(0, focus_version=3)),
    "published.changes": ("changes", doubled),
    "published.focus": ("focus", doubled),
    "published.one_watermark": ("sources", doubled),
    "published.watermark": ("sources", put(0, watermark=NOW)),
    "credentials.audited": ("step_logs", list.clear),
}


def names(tables: Tables, observed: Observed) -> set[str]:
    return {one.invariant for one in violations(tables, observed, decrypt=decrypt)}


def test_what_is_right_holds() -> None:
    hold(*good(), decrypt=decrypt)


def test_without_callers_the_tables_are_judged_by_each_other() -> None:
    tables, _ = good()
    hold(tables)


@pytest.mark.parametrize("invariant", CONTROL)
def test_what_is_wrong_in_the_control_dataset_is_found(invariant: str) -> None:
    tables, observed = good()
    assert invariant in names(with_rows(tables, *CONTROL[invariant]), observed)


@pytest.mark.parametrize("invariant", OF_TENANT)
def test_what_is_wrong_in_a_tenants_dataset_is_found(invariant: str) -> None:
    tables, observed = good()
    assert invariant in names(in_tenant(tables, *OF_TENANT[invariant]), observed)


def ended() -> Tables:
    """`acme` was offboarded with its dataset kept, `other` with its dataset deleted."""
    tables, _ = good()
    gone = {**tables.ledger[0], "tenant_id": "other"}
    return replace(
        tables,
        profiles=[{"tenant_id": one, "status": "OFFBOARDED"} for one in ("acme", "other")],
        subscriptions=[{"tenant_id": one, "status": "CANCELLED"} for one in ("acme", "other")],
        keys=[{"tenant_id": one, "is_active": False} for one in ("acme", "other")],
        ledger=[*tables.ledger, gone],
        schedules=[{**tables.schedules[0], "is_active": False, "next_run_time": None}],
        credentials=[],
    )


ENDED: Mapping[str, tuple[str, Callable[[list[Any]], object]]] = {
    "offboarded.profile": ("profiles", lambda rows: rows.append({"tenant_id": "acme", "status": "ACTIVE"})),
    "offboarded.subscription": ("subscriptions", put(0, status="ACTIVE")),
    "offboarded.key": ("keys", put(0, is_active=None)),
    "offboarded.schedule": ("schedules", put(0, next_run_time=NOW)),
    "offboarded.queue": ("queue", lambda rows: rows.append({"tenant_id": "other"} | dict.fromkeys(("run_id", "state", *QUEUED)))),
    "offboarded.slot": ("ledger", put(1, live_runs=[{"reservation_id": "x"}])),
    "offboarded.credentials": ("credentials", lambda rows: rows.append(sealed("other"))),
}


def test_what_is_left_of_an_offboarded_tenant_holds() -> None:
    _, observed = good()
    assert names(ended(), observed) == set()


@pytest.mark.parametrize("invariant", ENDED)
def test_what_an_offboarding_has_missed_is_found(invariant: str) -> None:
    assert invariant in names(with_rows(ended(), *ENDED[invariant]), Observed())


def test_a_key_with_two_runs_is_found() -> None:
    tables, observed = good()
    observed.by_key["acme", "order"] = {"a", "b"}
    assert names(tables, observed) == {"runs.one_a_key"}


def test_staging_that_never_expires_is_found() -> None:
    tables, observed = good()
    tenant = replace(tables.tenants["acme"], staging=[Staging(name="x_staging_a", created=NOW, expires=None)])
    assert names(replace(tables, tenants={"acme": tenant}), observed) == {"runs.staging_expires"}


def test_what_was_never_sent_is_found() -> None:
    tables, observed = good()
    observed.credentials["acme", "GCP"] = Sealed(acknowledged=[b"another"])
    assert names(tables, observed) == {"credentials.as_sent"}


def test_credentials_that_open_under_another_name_are_found() -> None:
    found = {one.invariant for one in violations(*good(), decrypt=lambda *_: b"a secret in it")}
    assert found == {"credentials.bound_to_their_row"}


def test_an_overdue_run_may_have_lost_its_unit() -> None:
    """Its row has appeared after the reservation was given back."""
    tables, observed = good()
    late = run(
        "b", "FAILED", error_message="The run was still RUNNING after its deadline, and no executor was working on it; run it again."
    )
    observed.cancelled.clear()
    tables = in_tenant(tables, "runs", lambda rows: rows.__setitem__(1, late))
    counted = {"pipelines_run_month": 3, "pipelines_run_today": 3, "runs_ended": 4}
    assert names(with_rows(tables, "ledger", put(0, **counted)), observed) == set()
    assert "ledger.units" in names(with_rows(tables, "ledger", put(0, **counted | {"pipelines_run_month": 2})), observed)


def test_focus_may_lag_if_its_ledger_says_so_until_the_next_run() -> None:
    tables, observed = good()
    tables = in_tenant(in_tenant(tables, "focus", list.clear), "days", put(0, focus_version=0))
    assert names(tables, observed) == set()
    observed.focus_may_lag = False
    assert names(tables, observed) == {"published.none_lost", "published.focus_lags"}


def audited() -> Tables:
    tables, _ = good()
    names = "action actor_id actor_kind actor_role client_address outcome request_id resource user_id"
    texts = dict.fromkeys(names.split())
    entries = [{**texts, "chain": "acme", "entry_id": str(number), "count": 1, "time": NOW} for number in range(3)]
    head, chained = extend(Head(chain="acme"), entries, NOW)
    rows = [{**entry, "entry_hash": entry["hash"]} for entry in chained]
    return replace(tables, audit_log=rows, audit_heads=[{"chain": "acme", "seq": head.seq, "entry_hash": head.hash}])


AUDIT: Mapping[str, tuple[str, Callable[[list[Any]], object]]] = {
    "an entry was changed": ("audit_log", put(1, action="another")),
    "an entry is missing": ("audit_log", lambda rows: rows.pop(1)),
    "the newest entry is missing": ("audit_log", lambda rows: rows.pop()),
    "an entry is there twice": ("audit_log", doubled),
}


def test_a_whole_chain_of_the_audit_log_holds() -> None:
    assert violations(audited()) == []


@pytest.mark.parametrize("wrong", AUDIT)
def test_what_is_wrong_in_the_audit_log_is_found(wrong: str) -> None:
    assert "audit.chain" in {one.invariant for one in violations(with_rows(audited(), *AUDIT[wrong]))}


def test_the_message_says_what_was_expected_and_what_is_there() -> None:
    tables, observed = good()
    with pytest.raises(AssertionError, match=r"ledger.units \[acme\]: 5 are counted, 4 runs began"):
        hold(with_rows(tables, "ledger", put(0, pipelines_run_month=5)), observed, decrypt=decrypt)


def test_a_secret_is_found_wherever_it_is_written_but_in_its_place(tmp_path: Path) -> None:
    for name in ("certs/a.key", "env", "logs/auth.log", "bigquery/data"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"..secret..")
        path.chmod(0o600)
    found = [(one.invariant, one.where) for one in secrets_outside(tmp_path, {"a key": b"secret"})]
    assert found == [("secrets.in_their_place", str(tmp_path / name)) for name in ("bigquery/data", "logs/auth.log")]
    (tmp_path / "env").chmod(0o644)
    assert [one.where for one in secrets_outside(tmp_path, {})] == [str(tmp_path / "env")]


def test_a_traceback_is_found_in_a_service_s_log_only(tmp_path: Path) -> None:
    for name in ("executor-1.log", "bigquery.log"):
        (tmp_path / name).write_text('{"event": "rpc"}\n{"event": "step_broke", "exception": "Traceback ..."}\n')
    found = list(log_violations(tmp_path, ("executor",)))
    assert [(one.where, one.what) for one in found] == [("executor-1.log:2", "step_broke: Traceback ...")]
