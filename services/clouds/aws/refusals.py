"""Explains what AWS refuses to a tenant: one sentence for the cause, one for what to do. Pure.

Read from the error's code and its HTTP status (Amazon S3, "Error responses"; AWS STS, "Common errors", "AssumeRole",
"AssumeRoleWithWebIdentity"). AWS's own text is matched where a code has several causes, and never passed on: it quotes requests and names
of the tenant's account.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any, Final

from services.clouds.access import AccessRefused


class AwsAction(Enum):
    """What was asked of AWS."""

    ASSUME_ROLE = "sts:AssumeRole"
    FEDERATE = "sts:AssumeRoleWithWebIdentity"
    IDENTIFY = "sts:GetCallerIdentity"
    LIST = "s3:ListBucket"
    READ = "s3:GetObject"


@dataclass(frozen=True, kw_only=True, slots=True)
class AwsRequest:
    """A request that failed."""

    action: AwsAction
    bucket: str | None = None
    key: str | None = None
    """The key of an object, or the prefix of the keys that are listed."""
    role: str | None = None
    region: str | None = None
    """The one that was asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    code: str
    status: int
    text: str
    """Lower case."""
    region: str | None
    """The bucket's own, if S3 named it."""


_BUSY: Final = frozenset(
    {
        *("SlowDown", "ServiceUnavailable", "InternalError", "InternalFailure", "Throttling", "ThrottlingException", "RequestTimeout"),
        *("RequestLimitExceeded", "OperationAborted", "TooManyRequestsException", "RequestThrottled", "500", "502", "503", "504"),
    }
)
_KEYS: Final = {
    "InvalidClientTokenId": "does not know the access key",
    "InvalidAccessKeyId": "does not know the access key",
    "UnrecognizedClientException": "does not know the access key",
    "SignatureDoesNotMatch": "finds that the secret access key is not that of the access key id",
    "InvalidSignatureException": "finds that the secret access key is not that of the access key id",
}
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
_ELSEWHERE: Final = frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307"})
_SUSPENDED: Final = frozenset({"AccountProblem", "AllAccessDisabled", "NotSignedUp", "OptInRequired", "InvalidPayer"})
_POLICY: Final = frozenset(
    {"PackedPolicyTooLarge", "MalformedPolicyDocument", "PackedPolicyTooLargeException", "MalformedPolicyDocumentException"}
)
_TRUST: Final = "GET .../credentials/aws/trust shows what it must say"
_FORBIDDEN: Final = frozenset({"AccessDenied", "AccessDeniedException", "Forbidden", "403", "AllAccessDisabled"})


def explain(error: Exception, asked: AwsRequest) -> AccessRefused:
    """The refusal for the tenant, of what botocore has raised. Retryable only if the cause may pass by itself."""
    if isinstance(error, AccessRefused):
        return error
    answer = _answer(error)
    if answer is None:
        where = f" in {asked.region}" if asked.region else ""
        return AccessRefused(
            f"AWS did not answer{where} when asked for {_what(asked)}. Run it again in a moment; if it stays so, check the region in the "
            "AWS credentials.",
            is_retryable=True,
        )
    causes: tuple[Callable[[_Answer, AwsRequest], AccessRefused | None], ...] = (_passing, _key, _token, _session, _forbidden, _place)
    for cause in causes:
        if refusal := cause(answer, asked):
            return refusal
    return AccessRefused(
        f"AWS refused {_what(asked)} for a reason that is not known here ({answer.code}). Try the same request in the AWS console or CLI, "
        "with the same credentials."
    )


def code_of(error: Exception) -> str | None:
    """AWS's code of an error, or the HTTP status where there is no code; None if AWS did not answer."""
    answer = _answer(error)
    return answer.code if answer else None


def _passing(answer: _Answer, asked: AwsRequest) -> AccessRefused | None:
    if answer.code in _BUSY or answer.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return AccessRefused(f"AWS is too busy to answer for {_what(asked)}. Run it again in a few minutes.", is_retryable=True)
    if answer.code == "RequestTimeTooSkewed":
        return AccessRefused("AWS refuses requests because this installation's clock is wrong. Ask its operator.", is_retryable=True)
    if answer.code in {"PreconditionFailed", "412"}:
        return AccessRefused(f"{_what(asked)} was replaced while it was read. Run it again.", is_retryable=True)
    if answer.code in _EXPIRED:
        return AccessRefused("The session with AWS, or the token for it, has expired. Run it again.", is_retryable=True)
    return None


def _key(answer: _Answer, _: AwsRequest) -> AccessRefused | None:
    if fault := _KEYS.get(answer.code):
        return AccessRefused(
            f"AWS {fault}: it was mistyped, deactivated or deleted. Create an access key in IAM, and set the AWS credentials again.",
            setting="access key",
        )
    if answer.code == "InvalidToken":
        return AccessRefused("AWS does not accept the session's token. Run it again.", is_retryable=True)
    if answer.code in _SUSPENDED:
        return AccessRefused("AWS has closed or suspended the account or the bucket. Open AWS Billing to see why.")
    return None


def _token(answer: _Answer, asked: AwsRequest) -> AccessRefused | None:
    """Refusals of a token of ours."""
    if answer.code == "IDPCommunicationError" or (answer.code == "InvalidIdentityToken" and "retrieve verification key" in answer.text):
        return AccessRefused(
            "AWS could not fetch this installation's public keys. Run it again; if it stays so, its operator must make the issuer "
            "reachable from the internet.",
            is_retryable=True,
        )
    if answer.code != "InvalidIdentityToken":
        return None
    if "no openidconnect provider" in answer.text:
        account = asked.role.split(":")[4] if asked.role else "of the role"
        return _provider(f"The account {account} has no OIDC provider in IAM for this installation. Create it: {_TRUST}.")
    if "audience" in answer.text:
        return _provider(f"The OIDC provider in IAM does not list the audience of our tokens. Add it: {_TRUST}.")
    return _provider(f"AWS does not accept this installation's token. Compare the OIDC provider in IAM: {_TRUST}.")


def _provider(message: str) -> AccessRefused:
    return AccessRefused(message, setting="OIDC provider")


def _session(answer: _Answer, asked: AwsRequest) -> AccessRefused | None:
    """What stands against any session of a role."""
    if answer.code == "RegionDisabledException":
        return AccessRefused(f"AWS STS is switched off in the region {asked.region}. Switch it on in IAM, or set another region.")
    if answer.code in _POLICY:
        return AccessRefused("The export's prefix is too long for a session that may read it alone. Use a shorter prefix.")
    return None


def _forbidden(answer: _Answer, asked: AwsRequest) -> AccessRefused | None:
    """Where a permission is missing: in a role's trust, in a policy, of a KMS key, or in the organisation."""
    if "kms:" in answer.text or answer.code.startswith("KMS"):
        return AccessRefused(
            f"{_what(asked)} is encrypted with a KMS key that these credentials may not use. Allow kms:Decrypt on that key, in its key "
            "policy and in the policy of the role or user, and see that the key is enabled.",
            setting="kms:Decrypt",
        )
    if answer.code not in _FORBIDDEN:
        return None
    if "service control policy" in answer.text or "resource control policy" in answer.text:
        return AccessRefused(
            f"A policy of your AWS organisation forbids {asked.action.value}. Ask its administrator for an exception.",
            setting=asked.action.value,
        )
    match asked.action:
        case AwsAction.FEDERATE:
            return AccessRefused(
                f"The role {asked.role} does not let this tenant in. In its trust policy the OIDC provider must be the principal, "
                "sts:AssumeRoleWithWebIdentity the action, and the conditions on aud and sub those of GET .../credentials/aws/trust.",
                setting=asked.action.value,
            )
        case AwsAction.ASSUME_ROLE:
            return AccessRefused(
                f"The role {asked.role} cannot be assumed with this key. Its trust policy must name the key's user as principal, and the "
                "external id if it demands one; the user needs a policy that allows sts:AssumeRole on it.",
                setting=asked.action.value,
            )
        case _:
            resource = f"arn:aws:s3:::{asked.bucket}" + (f"/{asked.key}" if asked.action is AwsAction.READ else f" for {asked.key}*")
            return AccessRefused(
                f"AWS forbids these credentials {asked.action.value} on {resource}. Allow it in the policy of the role or user, and see "
                "that no bucket policy denies it.",
                setting=asked.action.value,
            )


def _place(answer: _Answer, asked: AwsRequest) -> AccessRefused | None:
    """Buckets and objects that are not there, or not to be read there."""
    if answer.code in _ELSEWHERE:
        where = f"in the region {answer.region}" if answer.region else "in another region"
        message = f"The bucket {asked.bucket} is {where}, not in {asked.region}. Set that region in the AWS credentials."
        return AccessRefused(message, setting="region")
    if answer.code in {"NoSuchBucket", "InvalidBucketName"}:
        message = f"There is no bucket {asked.bucket}. Compare `export` with the S3 bucket that Data Exports shows."
        return AccessRefused(message, setting="export")
    if answer.code in {"NoSuchKey", "404", "NotFound"}:
        return AccessRefused(f"There is no {_what(asked)}.", is_retryable=True)
    if answer.code == "InvalidObjectState":
        return AccessRefused(f"{_what(asked)} is archived. Restore it in S3, and take the export out of the bucket's lifecycle rules.")
    return None


def _what(asked: AwsRequest) -> str:
    match asked.action:
        case AwsAction.LIST | AwsAction.READ:
            return f"s3://{asked.bucket}/{asked.key}"
        case AwsAction.IDENTIFY:
            return "its own identity"
        case _:
            return f"the role {asked.role}"


def _answer(error: Exception) -> _Answer | None:
    response: Any = getattr(error, "response", None)
    if not isinstance(response, dict):
        return None
    said = response.get("Error") or {}
    about = response.get("ResponseMetadata") or {}
    headers = about.get("HTTPHeaders") or {}
    status = about.get("HTTPStatusCode")
    region = said.get("Region") or headers.get("x-amz-bucket-region")
    return _Answer(
        code=str(said.get("Code") or status or "unknown"),
        status=status if isinstance(status, int) else 0,
        text=str(said.get("Message") or "").lower(),
        region=str(region) if region else None,
    )
