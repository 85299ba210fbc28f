"""What a check of Google Cloud finds, from Google's own answers."""

import json

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from services.clouds.access import CloudEndpoints, TenantAccess, no_token
from services.clouds.checks import check_access
from services.clouds.findings import AccessReport, AccessVerdict, FindingStatus
from tests.support.fake_google import Answer, FakeGoogle, denied

EXPORT = "gcp_billing_export_v1_01AB23_CD45EF_67GH89"
COLUMNS = [{"name": "usage_start_time", "type": "TIMESTAMP"}, {"name": "cost", "type": "FLOAT"}]
DATASETS, TABLES, TABLE = (
    "GET projects/acme-shop/datasets",
    "GET projects/acme-shop/datasets/billing/tables",
    "GET projects/acme-shop/datasets/billing/tables/.*",
)
QUERY = "POST projects/acme-shop/jobs"


def table(kind: str = "TABLE", columns: list[dict[str, str]] = COLUMNS) -> Answer:
    reference = {"projectId": "acme-shop", "datasetId": "billing", "tableId": EXPORT}
    return Answer(body={"id": "t", "tableReference": reference, "type": kind, "schema": {"fields": columns}})


def google(**changed: Answer) -> FakeGoogle:
    """A project with one export; `changed` by the names above."""
    reference = {"projectId": "acme-shop", "datasetId": "billing"}
    listed = [{"tableReference": {**reference, "tableId": name}, "type": "TABLE"} for name in ("other", EXPORT)]
    usual = {
        "DATASETS": Answer(body={"datasets": [{"id": "acme-shop:billing", "datasetReference": reference}]}),
        "TABLES": Answer(body={"tables": listed}),
        "TABLE": table(),
        "QUERY": denied("Access Denied: Project acme-shop: User does not have bigquery.jobs.create permission in project acme-shop."),
    }
    return FakeGoogle(answers={globals()[name]: answer for name, answer in {**usual, **changed}.items()})


@pytest.fixture(scope="module")
def plaintext() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    account = {"type": "service_account", "client_email": "reader@acme-shop.iam.gserviceaccount.com", "private_key": pem}
    return json.dumps({"project_id": "acme-shop", "service_account": account}).encode()


def checked(fake: FakeGoogle, plaintext: bytes, export: str | None = None) -> AccessReport:
    with fake.serving() as endpoints:
        access = TenantAccess(tenant_id="acme", provider="GCP", plaintext=plaintext, session="s", endpoints=endpoints, token_of=no_token)
        return check_access(access, export)


def statuses(report: AccessReport) -> dict[str, FindingStatus]:
    return {finding.name: finding.status for finding in report.findings}


OK, MISSING, UNKNOWN = FindingStatus.OK, FindingStatus.MISSING, FindingStatus.UNKNOWN


def test_all_that_a_run_needs_is_tried_in_four_calls(plaintext: bytes) -> None:
    fake = google()
    report = checked(fake, plaintext)
    assert report.verdict is AccessVerdict.WORKS
    assert statuses(report) == {
        "service account key": OK,
        "bigquery.datasets.get": OK,
        "bigquery.tables.list": OK,
        "bigquery.tables.get": OK,
        "bigquery.readsessions.create": OK,
        "bigquery.tables.getData": OK,
    }
    session = f"SESSION projects/acme-shop projects/acme-shop/datasets/billing/tables/{EXPORT} 1"
    assert fake.asked == [DATASETS, TABLES, f"{TABLES}/{EXPORT}", session]
    assert not [token for token in fake.tokens if token in repr(report)]


def test_a_named_table_is_looked_at_alone(plaintext: bytes) -> None:
    fake = google()
    assert checked(fake, plaintext, f"billing.{EXPORT}").verdict is AccessVerdict.WORKS
    assert len(fake.asked) == 2


@pytest.mark.parametrize(
    ("fake", "verdict", "found", "sentence"),
    [
        pytest.param(
            google(DATASETS=denied("Request had invalid authentication credentials.", "authError", 401)),
            AccessVerdict.REFUSED,
            {"service account key": MISSING},
            "Make a new key",
            id="the key was deleted",
        ),
        pytest.param(
            google(DATASETS=denied("BigQuery API has not been used in project 481516 before or it is disabled.", "accessNotConfigured")),
            AccessVerdict.LACKS,
            {"service account key": OK, "bigquery.googleapis.com": MISSING},
            "Enable bigquery.googleapis.com",
            id="the API is off",
        ),
        pytest.param(
            google(DATASETS=denied("VPC Service Controls: Request is prohibited by organization's policy.", "policyViolation")),
            AccessVerdict.LACKS,
            {"service account key": OK, "VPC Service Controls": MISSING},
            "ingress rule",
            id="a perimeter",
        ),
        pytest.param(
            google(DATASETS=denied("Not found: Project acme-shop", "notFound", 404)),
            AccessVerdict.LACKS,
            {"service account key": OK, "project_id": MISSING},
            "project_id of the credentials",
            id="no such project",
        ),
        pytest.param(
            google(DATASETS=Answer(body={})),
            AccessVerdict.WORKS,
            {"service account key": OK, "bigquery.datasets.get": OK, "bigquery.tables.getData": UNKNOWN},
            "",
            id="no dataset is seen: a template may name a table elsewhere",
        ),
        pytest.param(
            google(TABLES=denied("Access Denied: Dataset acme-shop:billing: User does not have bigquery.tables.list permission.")),
            AccessVerdict.WORKS,
            {"service account key": OK, "bigquery.datasets.get": OK, "bigquery.tables.getData": UNKNOWN},
            "",
            id="a dataset that is not for us",
        ),
    ],
)
def test_what_a_project_answers(
    plaintext: bytes, fake: FakeGoogle, verdict: AccessVerdict, found: dict[str, FindingStatus], sentence: str
) -> None:
    report = checked(fake, plaintext)
    assert (report.verdict, statuses(report)) == (verdict, found)
    assert sentence in (report.problem or "")
    assert "481516 before" not in (report.problem or "")


@pytest.mark.parametrize(
    ("message", "found", "sentence"),
    [
        (
            "request failed: the user does not have 'bigquery.readsessions.create' permission for 'projects/acme-shop'",
            {"bigquery.readsessions.create": MISSING, "bigquery.tables.getData": UNKNOWN},
            "BigQuery Read Session User (roles/bigquery.readSessionUser) on project acme-shop",
        ),
        (
            "Access Denied: Table acme-shop:billing.t: User does not have bigquery.tables.getData permission for table",
            {"bigquery.tables.getData": MISSING},
            "BigQuery Data Viewer (roles/bigquery.dataViewer) on the dataset",
        ),
        (
            "Access Denied: User has neither fine-grained reader nor masked get permission to get data protected by policy tag",
            {"datacatalog.categories.fineGrainedGet": MISSING, "bigquery.tables.getData": UNKNOWN},
            "Fine-Grained Reader",
        ),
    ],
)
def test_a_read_session_that_is_refused(plaintext: bytes, message: str, found: dict[str, FindingStatus], sentence: str) -> None:
    fake = google()
    fake.session = (grpc.StatusCode.PERMISSION_DENIED, message)
    report = checked(fake, plaintext, f"acme-shop.billing.{EXPORT}")
    assert (report.verdict, statuses(report)) == (
        AccessVerdict.LACKS,
        {"service account key": OK, "bigquery.tables.get": OK, **found},
    )
    assert sentence in (report.problem or "")


def test_a_view_needs_the_right_to_query(plaintext: bytes) -> None:
    fake = google(TABLE=table("VIEW"))
    report = checked(fake, plaintext, f"acme-shop.billing.{EXPORT}")
    assert report.verdict is AccessVerdict.LACKS
    assert statuses(report)["bigquery.jobs.create"] is MISSING
    assert "BigQuery Job User" in (report.problem or "")


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (denied("Not found: Table acme-shop:billing.t", "notFound", 404), "export"),
        (table(columns=[{"name": "BilledCost", "type": "NUMERIC"}]), "export"),
        (denied("Access Denied: Table acme-shop:billing.t: Permission bigquery.tables.get denied on table"), "bigquery.tables.get"),
    ],
)
def test_a_named_table_that_cannot_be_read(plaintext: bytes, answer: Answer, name: str) -> None:
    report = checked(google(TABLE=answer), plaintext, f"acme-shop.billing.{EXPORT}")
    assert (report.verdict, report.names(FindingStatus.MISSING)) == (AccessVerdict.LACKS, [name])


def test_a_google_that_does_not_answer_refuses_nothing(plaintext: bytes) -> None:
    fake = google()
    fake.session = (grpc.StatusCode.UNAVAILABLE, "try again")
    report = checked(fake, plaintext, f"acme-shop.billing.{EXPORT}")
    assert (report.verdict, report.problem) == (AccessVerdict.UNKNOWN, None)


@pytest.mark.parametrize(
    "plaintext", [b"{}", b'{"project_id": "acme-shop", "service_account": {"private_key": "x", "client_email": "a@b"}}']
)
def test_a_key_that_does_not_parse_is_refused_without_a_call(plaintext: bytes) -> None:
    access = TenantAccess(tenant_id="acme", provider="GCP", plaintext=plaintext, session="s", endpoints=CloudEndpoints(), token_of=no_token)
    report = check_access(access, None)
    assert (report.verdict, "Set" in (report.problem or "")) == (AccessVerdict.REFUSED, True)
