"""The verdict of a check, and what is said about it."""

import pytest

from services.clouds.findings import MAX_PROBLEM, AccessReport, AccessVerdict, Finding, FindingStatus

KEY = Finding(name="service account key", status=FindingStatus.OK, message="Accepted.", is_entrance=True)
NO_KEY = Finding(name="service account key", status=FindingStatus.MISSING, message="Make a new key.", is_entrance=True)
LISTED = Finding(name="bigquery.tables.list", status=FindingStatus.OK, message="Granted.")
NO_ROWS = Finding(name="bigquery.tables.getData", status=FindingStatus.MISSING, message="Grant Data Viewer.")
UNTRIED = Finding(name="bigquery.tables.getData", status=FindingStatus.UNKNOWN, message="Not tried.")
ANYBODY = Finding(name="sts:AssumeRoleWithWebIdentity", status=FindingStatus.OPEN, message="Name the subject.")


@pytest.mark.parametrize(
    ("findings", "is_complete", "verdict", "problem"),
    [
        ((KEY, LISTED), True, AccessVerdict.WORKS, None),
        ((KEY, LISTED, UNTRIED), True, AccessVerdict.WORKS, None),
        ((KEY, LISTED, NO_ROWS), True, AccessVerdict.LACKS, "Grant Data Viewer."),
        ((NO_KEY,), True, AccessVerdict.REFUSED, "Make a new key."),
        ((KEY, ANYBODY, NO_ROWS), True, AccessVerdict.OPEN, "Name the subject. Grant Data Viewer."),
        ((NO_KEY, ANYBODY), True, AccessVerdict.OPEN, "Make a new key. Name the subject."),
        ((KEY, LISTED), False, AccessVerdict.UNKNOWN, None),
        ((), False, AccessVerdict.UNKNOWN, None),
        # What was found before the cloud fell silent stays true.
        ((KEY, NO_ROWS), False, AccessVerdict.LACKS, "Grant Data Viewer."),
        ((NO_ROWS, NO_ROWS), True, AccessVerdict.LACKS, "Grant Data Viewer."),
    ],
)
def test_the_worst_finding_decides(findings: tuple[Finding, ...], is_complete: bool, verdict: AccessVerdict, problem: str | None) -> None:
    report = AccessReport(findings=findings, is_complete=is_complete)
    assert (report.verdict, report.problem) == (verdict, problem)


def test_names_are_given_by_status_and_a_problem_is_bounded() -> None:
    long = Finding(name="s3:GetObject", status=FindingStatus.MISSING, message="x" * 3 * MAX_PROBLEM)
    report = AccessReport(findings=(KEY, NO_ROWS, long))
    assert report.names(FindingStatus.MISSING) == ["bigquery.tables.getData", "s3:GetObject"]
    assert len(report.problem or "") == MAX_PROBLEM
