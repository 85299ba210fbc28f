"""Checks a tenant's access to AWS: the key or the role, who else would be let in, and the reading of one byte of the export."""

from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final

from services.clouds.access import AccessRefused, TenantAccess
from services.clouds.attempt import Attempt, attempt, lets_in, missing, refuses_others, untried
from services.clouds.audiences import AWS
from services.clouds.aws.credentials import AwsCredentials
from services.clouds.aws.location import S3Location
from services.clouds.aws.refusals import AwsAction, AwsRequest, code_of
from services.clouds.aws.session import AwsSession, explained
from services.clouds.findings import Finding, FindingStatus
from services.platform.errors import InvalidArgument

MAX_KEYS: Final = 20
"""Keys that are listed, of which one is read."""
TRUST: Final = "Trust policy"
"""What IAM's console calls the policy that says who may assume a role."""
_NO_BYTES: Final = frozenset({"InvalidRange", "416"})
"""Codes for the first byte of an object that has none."""


def check_aws(access: TenantAccess, export: str | None) -> Generator[Finding | None]:
    """`export`: s3://bucket/prefix/name; None: the reading is not checked. Raises as AccessCheck does."""
    try:
        location = S3Location.parse(export) if export else None
    except AccessRefused as refused:
        raise InvalidArgument("export", refused.message) from None
    session = AwsSession(access, location)
    try:
        entered = attempt(_entrance(session.credentials), lambda: _account(session), "AWS lets us in with it.", is_entrance=True)
        yield entered.finding
        if entered.answer:
            yield from _role(session, access, entered.answer)
            if location:
                yield from _export(session, location)
    finally:
        session.close()


def _entrance(held: AwsCredentials) -> str:
    if held.role_arn is None:
        return "access key"
    return AwsAction.FEDERATE.value if held.is_federated else AwsAction.ASSUME_ROLE.value


def _account(session: AwsSession) -> str:
    """The account that we are in, after the role was assumed. Raises AccessRefused."""
    with explained(AwsRequest(action=AwsAction.IDENTIFY, region=session.credentials.region)):
        return str(session.sts.get_caller_identity()["Account"])


def _role(session: AwsSession, access: TenantAccess, account: str) -> Generator[Finding | None]:
    """Whether the role is the one that was named, and whether it lets in others."""
    held = session.credentials
    if held.account_id not in {None, account}:
        message = f"The session is in account {account}, the role in {held.account_id}. Correct role_arn and set the AWS credentials again."
        yield missing(AwsAction.IDENTIFY.value, message)
    if held.is_federated and access.probes:
        yield from refuses_others(
            TRUST,
            access.probes,
            lambda token_of: session.assume(token=token_of(AWS)),
            lambda subject: (
                f"The role {held.role_arn} can be assumed with this installation's token about {subject}, so other tenants could name it "
                f"as theirs. Its trust policy must have the condition StringEquals on the issuer's sub with {access.tenant_id} alone, as "
                "GET .../credentials/aws/trust shows it: no StringLike with wildcards, no StringNotEquals."
            ),
        )
    elif held.external_id:
        yield _external_id(session)


def _external_id(session: AwsSession) -> Finding:
    if not lets_in(session.assume):
        return Finding(name=TRUST, status=FindingStatus.OK, message="The role refuses to be assumed without the external id.")
    message = (
        f"The role {session.credentials.role_arn} can be assumed without the external id that was given, so the id protects nothing. In "
        "its trust policy add the condition StringEquals on sts:ExternalId with that id, or leave external_id out of the AWS credentials."
    )
    return Finding(name=TRUST, status=FindingStatus.OPEN, message=message)


def _export(session: AwsSession, location: S3Location) -> Generator[Finding]:
    """Lists the export's folder and reads a byte of a manifest, else of any file: with the encryption key that a run needs."""
    keys: list[str] = []
    # A manifest, if there is one: those of Data Exports lie together.
    for folder in (f"{location.folder}metadata/", location.folder):
        listed = _asked(session, location, AwsAction.LIST, folder, partial(_keys, session, location, folder))
        if not listed.worked:
            yield listed.finding
            yield untried(AwsAction.READ.value, f"It could not be tried whether {location} can be read. Check again when it can be listed.")
            return
        if keys := listed.answer or []:
            break
    yield listed.finding
    if not keys:
        message = (
            f"Nothing lies below {location} yet. A new export takes up to 24 hours: check again then. Compare bucket, prefix and name with "
            "those that Data Exports shows."
        )
        yield missing("export", message)
        return
    key = next((one for one in keys if one.endswith("Manifest.json")), keys[0])
    yield _asked(session, location, AwsAction.READ, key, lambda: _first_byte(session, location, key)).finding


def _asked[Answer](session: AwsSession, location: S3Location, action: AwsAction, key: str, call: Callable[[], Answer]) -> Attempt[Answer]:
    request = AwsRequest(action=action, bucket=location.bucket, key=key, region=session.credentials.region)

    def worded() -> Answer:
        with explained(request):
            return call()

    return attempt(action.value, worded, f"It is allowed below {location}.")


def _keys(session: AwsSession, location: S3Location, folder: str) -> list[str]:
    found: dict[str, Any] = session.s3.list_objects_v2(Bucket=location.bucket, Prefix=folder, MaxKeys=MAX_KEYS)
    return [str(one["Key"]) for one in found.get("Contents", ())]


def _first_byte(session: AwsSession, location: S3Location, key: str) -> None:
    try:
        session.s3.get_object(Bucket=location.bucket, Key=key, Range="bytes=0-0")["Body"].close()
    except Exception as error:
        if code_of(error) not in _NO_BYTES:
            raise
