"""What AWS credentials and locations are taken, and the words for what AWS refuses."""

import json
import subprocess
import sys
from typing import Any

import pytest

from services.clouds.access import AccessRefused
from services.clouds.aws.credentials import read_aws
from services.clouds.aws.location import S3Location, reader_policy
from services.clouds.aws.refusals import AwsAction, AwsRequest, code_of, explain
from services.platform.settings import REPOSITORY

ROLE = "arn:aws:iam::123456789012:role/convergence/reads"
KEY = {"access_key_id": "AKIA0123456789ABCDEF", "secret_access_key": "s" * 40}


def read(values: Any) -> Any:
    return read_aws(json.dumps(values).encode())


def test_a_key_a_key_with_a_role_and_a_role_alone() -> None:
    plain, with_role, federated = read(KEY), read({**KEY, "role_arn": ROLE, "external_id": "e"}), read({"role_arn": ROLE})
    assert (plain.is_federated, plain.role_arn, plain.account_id, plain.region) == (False, None, None, "us-east-1")
    assert (with_role.is_federated, with_role.external_id, with_role.account_id) == (False, "e", "123456789012")
    assert (federated.is_federated, federated.access_key_id, federated.role_arn) == (True, None, ROLE)
    assert "s" * 40 not in repr(plain)


@pytest.mark.parametrize(
    ("values", "partition", "region"),
    [
        ({"role_arn": ROLE}, "aws", "us-east-1"),
        ({"role_arn": ROLE, "region": "eu-central-1"}, "aws", "eu-central-1"),
        ({"role_arn": ROLE.replace("aws", "aws-cn", 1)}, "aws-cn", "cn-north-1"),
        ({"role_arn": ROLE.replace("aws", "aws-us-gov", 1), "region": "us-gov-east-1"}, "aws-us-gov", "us-gov-east-1"),
        ({**KEY, "region": "cn-northwest-1"}, "aws-cn", "cn-northwest-1"),
    ],
)
def test_where_aws_is_asked_follows_from_the_role_and_the_region(values: dict[str, str], partition: str, region: str) -> None:
    credentials = read(values)
    assert (credentials.partition, credentials.region) == (partition, region)


@pytest.mark.parametrize(
    "values",
    [
        [],
        "text",
        {},
        {"access_key_id": "AKIA0123456789ABCDEF"},
        {"secret_access_key": "s" * 40, "role_arn": ROLE},
        {"role_arn": "arn:aws:iam::1:role/x"},
        {"role_arn": ROLE, "region": "evil.example/"},
        {"role_arn": ROLE, "region": "us-east-1.evil.example"},
        {"role_arn": 5},
        {"role_arn": ROLE.replace("aws", "aws-iso", 1)},
        {"role_arn": ROLE, "region": "cn-north-1"},
        {"role_arn": ROLE.replace("aws", "aws-cn", 1), "region": "us-east-1"},
    ],
)
def test_other_payloads_are_refused_and_not_quoted(values: Any) -> None:
    with pytest.raises(AccessRefused) as refused:
        read(values)
    assert "s" * 40 not in refused.value.message
    assert "evil" not in refused.value.message


@pytest.mark.parametrize(
    ("export", "bucket", "path", "name"),
    [
        ("s3://acme-bills/finops/focus", "acme-bills", "finops/focus", "focus"),
        ("s3://acme-bills/focus", "acme-bills", "focus", "focus"),
        ("s3://acme.bills.1/a/b/c/focus-1_2/", "acme.bills.1", "a/b/c/focus-1_2", "focus-1_2"),
        ("s3://acme-bills/cost//focus", "acme-bills", "cost//focus", "focus"),
    ],
)
def test_locations(export: str, bucket: str, path: str, name: str) -> None:
    location = S3Location.parse(export)
    assert (location.bucket, location.path, location.name, location.folder) == (bucket, path, name, f"{path}/")


@pytest.mark.parametrize(
    "export",
    [
        *("", "acme-bills/focus", "https://acme-bills/focus", "s3://acme-bills", "s3://acme-bills/", "s3:///focus", "s3://Acme/focus"),
        *("s3://ab/focus", "s3://a..b/focus", "s3://-bills/focus", "s3://10.0.0.1/focus", "s3://acme_bills/focus", "s3://xn--bills/focus"),
        *("s3://acme-bills/a/../focus", "s3://acme-bills/./focus", "s3://acme-bills/fo*us", "s3://acme-bills/${aws:username}/focus"),
        *("s3://acme-bills/fo\tcus", "s3://acme-bills/focus?x=1", f"s3://acme-bills/{'p' * 701}", "s3://acme-bills/focus\n"),
    ],
)
def test_other_locations_are_refused(export: str) -> None:
    with pytest.raises(AccessRefused, match="s3://bucket/prefix/name"):
        S3Location.parse(export)


def test_the_longest_location_still_fits_into_a_session_policy() -> None:
    longest = S3Location.parse(f"s3://{'b' * 63}/{'p' * 700}")
    assert len(reader_policy(longest, "aws-us-gov")) <= 2048


class Answered(Exception):
    """As botocore raises it."""

    def __init__(self, code: str | None, message: str = "Secret text of AWS", status: int = 400, **more: Any) -> None:
        super().__init__(message)
        self.response = {
            "Error": {"Message": message, **({"Code": code} if code else {}), **more},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}},
        }


READ = AwsRequest(action=AwsAction.READ, bucket="acme-bills", key="finops/focus/x", region="us-east-1")
LIST = AwsRequest(action=AwsAction.LIST, bucket="acme-bills", key="finops/focus/", region="us-east-1")
ASSUME = AwsRequest(action=AwsAction.ASSUME_ROLE, role=ROLE, region="us-east-1")
FEDERATE = AwsRequest(action=AwsAction.FEDERATE, role=ROLE, region="us-east-1")


@pytest.mark.parametrize(
    ("error", "asked", "words", "is_retryable"),
    [
        (Answered("InvalidClientTokenId"), ASSUME, "does not know the access key", False),
        (Answered("InvalidAccessKeyId"), READ, "does not know the access key", False),
        (Answered("SignatureDoesNotMatch"), READ, "secret access key is not that of", False),
        (Answered("ExpiredToken"), READ, "has expired", True),
        (Answered("AccessDenied", status=403), ASSUME, f"The role {ROLE} cannot be assumed with this key", False),
        (Answered("AccessDenied", status=403), FEDERATE, f"The role {ROLE} does not let this tenant in", False),
        (Answered("AccessDenied", status=403), READ, "s3:GetObject on arn:aws:s3:::acme-bills/finops/focus/x", False),
        (Answered("403", status=403), READ, "s3:GetObject on arn:aws:s3:::acme-bills/finops/focus/x", False),
        (Answered("AccessDenied", status=403), LIST, "s3:ListBucket on arn:aws:s3:::acme-bills for finops/focus/*", False),
        (Answered("AccessDenied", "not authorized to perform: kms:Decrypt on", 403), READ, "Allow kms:Decrypt on that key", False),
        (Answered("KMS.DisabledException", status=400), READ, "see that the key is enabled", False),
        (
            Answered("AccessDenied", "with an explicit deny in a service control policy", 403),
            ASSUME,
            "policy of your AWS organisation",
            False,
        ),
        (Answered("InvalidIdentityToken", "No OpenIDConnect provider found in your account"), FEDERATE, "has no OIDC provider", False),
        (Answered("InvalidIdentityToken", "Incorrect token audience"), FEDERATE, "does not list the audience", False),
        (Answered("InvalidIdentityToken", "Couldn't retrieve verification key from"), FEDERATE, "could not fetch", True),
        (Answered("IDPCommunicationError"), FEDERATE, "could not fetch", True),
        (Answered("InvalidIdentityToken", "else"), FEDERATE, "does not accept this installation's token", False),
        (Answered("ExpiredTokenException"), FEDERATE, "has expired", True),
        (Answered("RegionDisabledException", status=403), FEDERATE, "switched off in the region us-east-1", False),
        (Answered("PackedPolicyTooLarge"), FEDERATE, "Use a shorter prefix", False),
        (Answered("NoSuchBucket", status=404), LIST, "There is no bucket acme-bills", False),
        (Answered("NoSuchKey", status=404), READ, "There is no s3://acme-bills/finops/focus/x", True),
        (Answered("PermanentRedirect", status=301, Region="eu-west-1"), LIST, "is in the region eu-west-1, not in us-east-1", False),
        (Answered("301", status=301), LIST, "is in another region, not in us-east-1", False),
        (Answered("SlowDown", status=503), READ, "too busy", True),
        (Answered(None, status=503), READ, "too busy", True),
        (Answered("PreconditionFailed", status=412), READ, "was replaced while it was read", True),
        (Answered("InvalidObjectState", status=403), READ, "is archived. Restore it", False),
        (Answered("RequestTimeTooSkewed", status=403), READ, "clock is wrong", True),
        (Answered("AccountProblem", status=403), READ, "closed or suspended", False),
        (Answered("SomethingNew", status=400), READ, "not known here (SomethingNew)", False),
        (TimeoutError("Secret text"), READ, "did not answer in us-east-1", True),
    ],
    ids=lambda value: getattr(value, "response", {}).get("Error", {}).get("Code") if isinstance(value, Exception) else None,
)
def test_every_refusal_has_words_of_ours_and_says_what_to_do(error: Exception, asked: AwsRequest, words: str, is_retryable: bool) -> None:
    refusal = explain(error, asked)
    assert words in refusal.message
    assert refusal.is_retryable is is_retryable
    assert "Secret text" not in refusal.message
    assert refusal.message.count(".") >= 1


def test_aws_s_library_is_loaded_when_access_is_opened_and_not_before() -> None:
    code = (
        "import sys, services.executor.sources.aws.source, services.clouds.aws.session\n"
        "sys.exit(', '.join(sorted({'boto3', 'botocore', 's3transfer'} & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_the_code_of_an_error() -> None:
    assert code_of(Answered("NoSuchKey")) == "NoSuchKey"
    assert code_of(Answered(None, status=304)) == "304"
    assert code_of(TimeoutError()) is None
