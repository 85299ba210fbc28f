"""What the doctor decides about what it was answered."""

import ssl
from datetime import UTC, datetime, timedelta
from socket import gaierror

import httpx
import pytest
from convergence.auth.v1.api_key_pb2 import ApiKey
from convergence.cli.doctor.checks import (
    api_key,
    certificate,
    clock,
    credentials,
    expiring_keys,
    gateway,
    grpc_path,
    jobs,
    plain_http,
    services,
)
from convergence.cli.doctor.checks.services import PATHS
from convergence.cli.doctor.finding import Finding, Looked, read_looked
from convergence.cli.doctor.http_answer import Answered, Silence, Silent, silent
from convergence.client import errors
from convergence.credentials.v1.credential_pb2 import Credential
from convergence.rpc.errors import Details
from convergence.scheduler.v1.fleet_service_pb2 import GetFleetResponse, JobState
from google.protobuf.timestamp_pb2 import Timestamp

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
URL = "https://convergence.example.com"
OURS = Answered(status=404, headers={"server": "gws"}, body={"details": [{"domain": "convergence", "reason": "PATH_NOT_FOUND"}]})


def names(findings: list[Finding]) -> list[str]:
    return [one.name for one in findings]


def stamp(moment: datetime) -> Timestamp:
    return Timestamp(seconds=int(moment.timestamp()))


@pytest.mark.parametrize(
    ("outcome", "found"),
    [
        (OURS, []),
        (Answered(status=200, headers={"server": "convergence"}), []),
        (Answered(status=404, headers={"server": "nginx"}), ["not-convergence"]),
        (Answered(status=200, headers={}, body={"status": "ok"}), ["not-convergence"]),
        (Answered(status=502, headers={"server": "gws"}), ["gateway-unreachable"]),
        (Silent(why=Silence.REFUSED), ["gateway-unreachable"]),
        (Silent(why=Silence.NO_NAME), ["gateway-unreachable"]),
        (Silent(why=Silence.UNTRUSTED, text="certificate has expired"), ["gateway-tls"]),
        (Silent(why=Silence.NO_TLS), ["gateway-tls"]),
    ],
)
def test_a_gateway_is_one_of_ours_or_not(outcome: Answered | Silent, found: list[str]) -> None:
    assert names(gateway.judge(URL, outcome, is_laptop=False)) == found


@pytest.mark.parametrize(
    ("cause", "why"),
    [
        (gaierror("no such name"), Silence.NO_NAME),
        (ConnectionRefusedError(), Silence.REFUSED),
        (ssl.SSLCertVerificationError("expired"), Silence.UNTRUSTED),
        (ssl.SSLError("wrong version number"), Silence.NO_TLS),
        (None, Silence.OTHER),
    ],
)
def test_why_there_was_no_answer_is_read_from_the_cause(cause: BaseException | None, why: Silence) -> None:
    error = httpx.ConnectError("failed")
    error.__cause__ = cause
    assert silent(error).why is why
    assert silent(httpx.ReadTimeout("slow")).why is Silence.TIMEOUT
    assert silent(httpx.RemoteProtocolError("garbage")).why is Silence.NO_HTTP


def test_keys_over_plain_http_are_found_unless_it_is_this_machine() -> None:
    assert names(plain_http.judge("http://convergence.example.com", is_laptop=False)) == ["key-sent-in-clear"]
    assert plain_http.judge("http://127.0.0.1:8080", is_laptop=True) == []
    assert plain_http.judge(URL, is_laptop=False) == []


def test_a_service_is_down_where_the_gateway_has_no_answer_of_it() -> None:
    up = Answered(status=400, headers={})
    down = Answered(status=503, headers={})
    findings = services.judge({**dict.fromkeys(PATHS, up), "executor": down}, down, is_laptop=False)
    assert [(one.name, one.subject) for one in findings] == [("service-down", "executor")]
    assert [one.subject for one in services.judge(dict.fromkeys(PATHS, up), down, is_laptop=True)] == ["a replica"]
    assert services.judge(dict.fromkeys(PATHS, up), Answered(status=200, headers={}), is_laptop=True) == []


def test_only_silence_over_grpc_is_a_proxy_in_the_way() -> None:
    assert names(grpc_path.judge("h:443", errors.Unavailable("no"))) == ["grpc-blocked"]
    assert grpc_path.judge("h:443", errors.Unavailable("no", Details(reason="SERVICE_UNAVAILABLE"))) == []
    assert grpc_path.judge("h:443", errors.PermissionDenied("no")) == []


def test_a_clock_may_differ_by_half_a_minute_and_by_the_time_of_the_call() -> None:
    late = timedelta(seconds=31)
    assert clock.judge(NOW + timedelta(seconds=30), NOW, NOW) == []
    assert clock.judge(NOW, NOW - timedelta(minutes=2), NOW + timedelta(minutes=2)) == []
    assert "behind" in clock.judge(NOW + late, NOW, NOW)[0].problem
    assert "ahead of" in clock.judge(NOW - late, NOW, NOW)[0].problem


def test_a_certificate_is_renewed_in_time() -> None:
    assert certificate.judge("h", NOW + timedelta(days=15), NOW) == []
    assert names(certificate.judge("h", NOW + timedelta(days=14), NOW)) == ["gateway-certificate-expiring"]


def test_each_reason_of_a_refused_key_names_the_command() -> None:
    assert "convergence tenants resume acme" in api_key.judge("acme", "TENANT_NOT_ACTIVE")[0].mend
    assert "convergence keys create --tenant acme" in api_key.judge("acme", "API_KEY_INVALID")[0].mend


def test_only_keys_that_are_used_and_end_soon_are_found() -> None:
    def key(name: str, days: int | None, *, is_active: bool = True, is_used: bool = True) -> ApiKey:
        ends = None if days is None else stamp(NOW + timedelta(days=days))
        return ApiKey(api_key_id=name, is_active=is_active, expires_at=ends, last_used_at=stamp(NOW) if is_used else None)

    keys = [
        key("found", 3),
        key("unused", 3, is_used=False),
        key("revoked", 3, is_active=False),
        key("later", 30),
        key("never", None),
        key("over", -1),
    ]
    assert [one.subject for one in expiring_keys.judge("acme", keys, NOW)] == ["found"]


def test_jobs_that_do_not_fire_and_a_queue_that_does_not_move_are_found() -> None:
    fleet = GetFleetResponse(
        queued_count=3,
        oldest_queued_time=stamp(NOW - jobs.STUCK - timedelta(seconds=1)),
        jobs=[JobState(job="trigger", interval_seconds=3600, overdue=True), JobState(job="process-queue", interval_seconds=300)],
    )
    findings = jobs.judge(fleet, NOW, is_laptop=False)
    assert [(one.name, one.subject) for one in findings] == [("job-overdue", "trigger"), ("queue-stuck", "queue")]
    assert "convergence jobs trigger" in findings[0].mend
    assert jobs.judge(GetFleetResponse(oldest_queued_time=stamp(NOW)), NOW, is_laptop=True) == []


def test_credentials_that_stopped_and_notifications_that_were_lost_are_found() -> None:
    stored = [
        Credential(provider="GCP", access_status="REFUSED", access_problem="The key was deleted."),
        Credential(provider="AWS", access_status="WORKS"),
        Credential(provider="AZURE"),
        Credential(provider="SLACK", delivery_status="FAILED", delivery_problem="No answer."),
        Credential(provider="WEBHOOK", delivery_status="DELIVERED"),
    ]
    assert [(one.name, one.subject) for one in credentials.judge(stored)] == [
        ("credentials-not-working", "GCP"),
        ("notifications-not-arriving", "SLACK"),
    ]


def test_what_was_found_is_read_back_from_json() -> None:
    finding = Finding(name="service-down", subject="executor", problem="It is down.", mend="make up")
    for looked in (Looked(check="a"), Looked(check="b", skipped="no key"), Looked(check="c", findings=[finding])):
        assert read_looked(looked.as_json()) == Looked(check=looked.check, skipped=looked.skipped, findings=list(looked.findings))
