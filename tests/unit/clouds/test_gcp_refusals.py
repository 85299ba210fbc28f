"""How Google's errors are explained to a tenant, from the payloads that Google sends over REST and gRPC."""

import json
from typing import Any

import grpc
import pytest
import requests
from google.api_core import exceptions as google
from google.auth import exceptions as google_auth
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from services.clouds.gcp.refusals import Asked, Role, explain, lacks_role

TABLE = "table shop.billing.gcp_billing_export_v1_A"
SECRET = "SECRET-of-a-request"
TRANSIENT = "did not answer when asked for table shop.billing.gcp_billing_export_v1_A. Run it again in a moment."


def over_rest(code: int, message: str, why: str, **info: Any) -> Exception:
    """As `google.cloud.bigquery` raises it."""
    error: dict[str, Any] = {
        "code": code,
        "message": f"{message} {SECRET}",
        "errors": [{"message": message, "domain": "global", "reason": why}],
    }
    if info:
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **info}]
    response = requests.Response()
    response.status_code, response._content = code, json.dumps({"error": error}).encode()
    response.request = requests.Request("GET", "https://bigquery.googleapis.com/bigquery/v2/projects/shop").prepare()
    raised: Exception = google.from_http_response(response)  # type: ignore[no-untyped-call]
    return raised


class Aborted(grpc.RpcError, grpc.Call):  # type: ignore[misc]  # untyped upstream
    """A call that the server has ended."""

    def __init__(self, code: grpc.StatusCode, message: str, info: dict[str, Any]) -> None:
        status = status_pb2.Status(code=code.value[0], message=message)
        if info:
            packed = any_pb2.Any()
            packed.Pack(error_details_pb2.ErrorInfo(**info))
            status.details.append(packed)
        self._code, self._message, self._status = code, message, status

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._message

    def trailing_metadata(self) -> Any:
        return (("grpc-status-details-bin", self._status.SerializeToString()),)


def over_grpc(code: grpc.StatusCode, message: str, **info: Any) -> Exception:
    """As `google.cloud.bigquery_storage` raises it."""
    raised: Exception = google.from_grpc_error(Aborted(code, f"{message} {SECRET}", info))  # type: ignore[no-untyped-call]
    return raised


DENIED = grpc.StatusCode.PERMISSION_DENIED
CASES = {
    "bigquery is off": (
        over_rest(
            403,
            "BigQuery API has not been used in project 481516 before or it is disabled. Enable it by visiting https://console...",
            "accessNotConfigured",
            reason="SERVICE_DISABLED",
            domain="googleapis.com",
            metadata={"service": "bigquery.googleapis.com", "consumer": "projects/481516"},
        ),
        "The BigQuery API is not enabled in project 481516. Enable bigquery.googleapis.com there",
    ),
    "bigquery is off, as older answers say it": (
        over_rest(403, "Access Not Configured. BigQuery API has not been used in project 481516 before", "accessNotConfigured"),
        "The BigQuery API is not enabled in project 481516. Enable bigquery.googleapis.com there",
    ),
    "the storage api is off": (
        over_grpc(
            DENIED,
            "BigQuery Storage API has not been used in project 481516 before or it is disabled.",
            reason="SERVICE_DISABLED",
            domain="googleapis.com",
            metadata={"service": "bigquerystorage.googleapis.com", "consumer": "projects/481516"},
        ),
        "The BigQuery Storage API is not enabled in project 481516. Enable bigquerystorage.googleapis.com there",
    ),
    "a perimeter, over rest": (
        over_rest(
            403,
            "VPC Service Controls: Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: XlFL_Ws",
            "policyViolation",
        ),
        "VPC Service Controls of the organisation forbid reading table shop.billing",
    ),
    "a perimeter, over grpc": (
        over_grpc(DENIED, "Request is prohibited by organization's policy.", reason="SECURITY_POLICY_VIOLATED", domain="googleapis.com"),
        "VPC Service Controls of the organisation forbid",
    ),
    "billing is off, over rest": (
        over_rest(403, "Billing has not been enabled for this project. Enable billing at https://console...", "billingNotEnabled"),
        "Billing is off for project team or that of table shop.billing",
    ),
    "billing is off, over grpc": (
        over_grpc(DENIED, "This API method requires billing to be enabled.", reason="BILLING_DISABLED", domain="googleapis.com"),
        "Billing is off for project team",
    ),
    "the key is gone": (
        over_rest(401, "Request had invalid authentication credentials. Expected OAuth 2 access token", "authError"),
        "does not accept the service account's key: the key or the account was disabled or deleted",
    ),
    "the account is gone": (
        over_grpc(grpc.StatusCode.UNAUTHENTICATED, "The account is disabled.", reason="ACCOUNT_STATE_INVALID", domain="googleapis.com"),
        "does not accept the service account's key",
    ),
    "no token for the key": (
        google_auth.RefreshError("invalid_grant: Invalid JWT Signature.", {"error": SECRET}),  # type: ignore[no-untyped-call]
        "does not accept the service account's key",
    ),
    "policy tags, over rest": (
        over_rest(
            403,
            'Access Denied: User has neither fine-grained reader nor masked get permission to get data protected by policy tag "a : b"',
            "accessDenied",
        ),
        "protected by policy tags. Grant the service account Fine-Grained Reader",
    ),
    "policy tags, over grpc": (
        over_grpc(DENIED, "request failed: Permission datacatalog.categories.fineGrainedGet denied on column labels"),
        "protected by policy tags",
    ),
    "no session": (
        over_grpc(DENIED, "request failed: the user does not have 'bigquery.readsessions.create' permission for 'projects/team'"),
        "Grant it BigQuery Read Session User (roles/bigquery.readSessionUser) on project team",
    ),
    "no data": (
        over_grpc(DENIED, "request failed: Permission bigquery.tables.getData denied on table shop:billing.t (or it may not exist)."),
        "Grant it BigQuery Data Viewer (roles/bigquery.dataViewer) on the dataset",
    ),
    "no list": (
        over_rest(403, "Access Denied: Dataset shop:billing: Permission bigquery.tables.list denied", "accessDenied"),
        "Grant it BigQuery Data Viewer (roles/bigquery.dataViewer) on the dataset",
    ),
    "no job": (
        over_rest(403, "Access Denied: Project team: User does not have bigquery.jobs.create permission in project team.", "accessDenied"),
        "Grant it BigQuery Job User (roles/bigquery.jobUser) on project team",
    ),
    "refused without a permission": (
        over_rest(403, "Access Denied", "accessDenied"),
        "Grant it BigQuery Read Session User (roles/bigquery.readSessionUser) on project team",
    ),
    "a quota": (
        over_rest(403, "Quota exceeded: custom quota QueryUsagePerDay", "quotaExceeded"),
        "A BigQuery quota of project team is used up",
    ),
    "not there": (over_rest(404, "Not found: Table shop:billing.t", "notFound"), "No usage cost export is seen as shop.billing"),
    "too much": (
        over_rest(403, "Response too large to return.", "responseTooLarge"),
        "BigQuery returns less of one query than",
    ),
    "anything else": (
        over_grpc(grpc.StatusCode.INVALID_ARGUMENT, "request failed: who knows"),
        "Google Cloud could not read table shop.billing",
    ),
    "too many calls": (over_rest(403, "Exceeded rate limits: too many api requests per user", "rateLimitExceeded"), TRANSIENT),
    "too many sessions": (over_grpc(grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded for quota metric 'Read requests'"), TRANSIENT),
    "away": (over_grpc(grpc.StatusCode.UNAVAILABLE, "502:Bad Gateway"), TRANSIENT),
    "no line": (ConnectionError(SECRET), TRANSIENT),
}


@pytest.mark.parametrize(("error", "message"), CASES.values(), ids=CASES)
def test_each_cause_has_its_sentence(error: Exception, message: str) -> None:
    """None of it is Google's text; only what passes by itself can heal."""
    failed = explain(error, Asked(what=TABLE, project="team", role=Role.READ_SESSION_USER))
    assert message in failed.message
    assert failed.is_retryable is (message == TRANSIENT)
    assert SECRET not in failed.message
    assert "http" not in failed.message


def test_a_view_that_cannot_be_queried_is_not_the_tables_fault() -> None:
    failed = explain(
        over_rest(400, "Unrecognized name: prise", "invalidQuery"), Asked(what="view a.b.c", project="team", role=Role.JOB_USER)
    )
    assert failed.message.startswith("BigQuery cannot run a query on view a.b.c.")


@pytest.mark.parametrize(
    ("case", "lacks"), [("no list", True), ("a perimeter, over rest", False), ("bigquery is off", False), ("away", False)]
)
def test_only_what_a_grant_would_cure_is_a_missing_role(case: str, lacks: bool) -> None:
    assert lacks_role(CASES[case][0]) is lacks
