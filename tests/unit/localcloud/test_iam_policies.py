"""IAM's decisions as AWS documents them, which the local AWS follows."""

from typing import Any

import pytest

from localcloud.aws.iam_policies import IamRequest, allows, denies, trusts

BUCKET = "arn:aws:s3:::bills"


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement} for statement in statements]}


def request(action: str = "s3:ListBucket", resource: str = BUCKET, **context: str) -> IamRequest:
    return IamRequest(action=action, resource=resource, context={name.replace("_", ":"): value for name, value in context.items()})


def listing(operator: str, values: Any) -> dict[str, Any]:
    return document({"Action": "s3:ListBucket", "Resource": BUCKET, "Condition": {operator: {"s3:prefix": values}}})


def test_what_is_not_allowed_is_denied_and_a_deny_wins() -> None:
    read = document({"Action": ["s3:Get*"], "Resource": f"{BUCKET}/a/*"})
    no = document({"Effect": "Deny", "Action": "s3:*", "Resource": f"{BUCKET}/a/b"})
    one = request("s3:GetObject", f"{BUCKET}/a/b")
    assert allows([read], one)
    assert not allows([], one)
    assert not allows([read, no], one)
    assert denies([read, no], one)
    assert not allows([read], request("s3:PutObject", f"{BUCKET}/a/b"))
    assert not allows([read], request("s3:GetObject", f"{BUCKET}/ab"))
    assert allows([{"Statement": read["Statement"][0]}], one)


@pytest.mark.parametrize(
    ("operator", "values", "prefix", "is_allowed"),
    [
        ("StringLike", "a/*", "a/b", True),
        ("StringLike", ["x", "a/?"], "a/b", True),
        ("StringLike", "a/*", "b/a/", False),
        ("StringLike", "a/*", None, False),
        ("StringEquals", "a/b", "a/b", True),
        ("StringEquals", "a/*", "a/b", False),
        ("StringEqualsIfExists", "a/b", None, True),
        ("StringNotEquals", "a/b", "a/c", True),
        ("StringNotLike", "a/*", "a/c", False),
        ("Null", "true", None, True),
        ("Null", "false", None, False),
        ("DateGreaterThan", "2026-01-01", "a", False),
        ("StringLike", "${aws:username}/*", "${aws:username}/x", False),
    ],
)
def test_conditions(operator: str, values: Any, prefix: str | None, is_allowed: bool) -> None:
    asked = request(**({} if prefix is None else {"s3_prefix": prefix}))
    assert allows([listing(operator, values)], asked) is is_allowed


def test_a_deny_with_a_condition_that_is_not_known_denies() -> None:
    no = document({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}})
    assert denies([no], request())


def test_a_trust_policy_lets_in_its_principals_with_what_it_demands() -> None:
    demanding = document(
        {"Principal": {"AWS": ["arn:u", "arn:v"]}, "Action": "sts:AssumeRole", "Condition": {"StringEquals": {"sts:ExternalId": "e"}}}
    )
    assume = request("sts:AssumeRole", "arn:role")
    assert trusts(demanding, [("AWS", "arn:u")], request("sts:AssumeRole", "arn:role", sts_ExternalId="e"))
    assert not trusts(demanding, [("AWS", "arn:u")], assume)
    assert not trusts(demanding, [("AWS", "arn:w")], request("sts:AssumeRole", "arn:role", sts_ExternalId="e"))
    assert not trusts(demanding, [("Federated", "arn:u")], request("sts:AssumeRole", "arn:role", sts_ExternalId="e"))
    assert trusts(document({"Principal": "*", "Action": "sts:AssumeRole"}), [("AWS", "*")], assume)
