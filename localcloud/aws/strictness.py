"""Makes moto refuse the calls that AWS refuses.

moto (5.2.5) checks signatures and actions only. It differs from AWS in these points:
  - It accepts a call without the external id that a role requires.
  - It ignores a session's own policy and expiration, conditions other than StringEquals, and inactive keys.
  - It does not check web identity tokens.
  - It reveals to every caller which objects exist.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import moto
import moto.iam.access_control as access
import moto.sts.urls
from moto.core.exceptions import _RESTError
from moto.iam.models import Policy, iam_backends
from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends
from moto.sts.exceptions import STSClientError
from moto.sts.models import AssumedRole, sts_backends
from moto.sts.responses import TokenResponse

from localcloud.aws.iam_policies import Document, IamRequest, allows, denies, trusts
from localcloud.aws.web_identity import RoleTrust, WebIdentityRefused, check_web_identity

VERSION: Final = "5.2.5"
FEDERATE: Final = "AssumeRoleWithWebIdentity"
_CONDITION_KEYS: Final = {"ExternalId": "sts:ExternalId", "prefix": "s3:prefix", "RoleSessionName": "sts:RoleSessionName"}


def make_strict() -> None:
    """Replaces moto's decisions by ours, in this process. Raises `SystemExit` for another version of moto."""
    if moto.__version__ != VERSION:
        raise SystemExit(f"localcloud.aws knows moto {VERSION}, and {moto.__version__} is installed: pin it, or review localcloud/aws")
    access.IAMRequestBase.check_action_permitted = _check  # type: ignore[method-assign]
    moto.sts.urls.url_paths["{0}/$"] = StrictTokenResponse.dispatch


class StrictTokenResponse(TokenResponse):
    """STS: a role is assumed with a token only if its issuer has signed the token and the role trusts its claims."""

    def _authenticate_and_authorize_normal_action(self, resource: str = "*") -> None:
        if self._get_action() != FEDERATE:  # the one call that is not signed
            super()._authenticate_and_authorize_normal_action(resource)

    def assume_role_with_web_identity(self) -> Any:
        """Raises AWS's errors."""
        arn, now = str(self._get_param("RoleArn")), datetime.now(UTC)
        account = iam_backends[arn.split(":")[4]][self.partition]
        trust = RoleTrust(
            role_arn=arn,
            document=next((_parsed(role.assume_role_policy_document) for role in account.get_roles() if role.arn == arn), None),
            audiences={provider.arn: tuple(provider.client_id_list) for provider in account.open_id_providers.values()},
        )
        try:
            check_web_identity(str(self._get_param("WebIdentityToken")), trust, now)
        except WebIdentityRefused as refused:
            raise STSClientError(refused.code, refused.message) from None
        return super().assume_role_with_web_identity()


def _check(self: Any, resource: str) -> None:
    """Replaces `IAMRequestBase.check_action_permitted`. Raises AWS's errors."""
    key = self._access_key
    _refuse_switched_off(self)
    if self._action == "sts:GetCallerIdentity":  # always allowed, even against a Deny
        return
    data: Mapping[str, Any] = self._data
    context = {name: _first(data[given]) for given, name in _CONDITION_KEYS.items() if given in data}
    request = IamRequest(action=self._action, resource=resource, context=context)
    policies, session = [_document(policy) for policy in key.collect_policies()], _session_of(self)
    narrowing = [_parsed(session.policy)] if session and session.policy else []
    if session and session.expiration.replace(tzinfo=UTC) <= datetime.now(UTC):
        raise (
            S3ClientError("ExpiredToken", "The provided token has expired.")
            if self._service == "s3"
            else _RESTError("ExpiredToken", "The security token included in the request is expired")
        )
    if request.action == "sts:AssumeRole":
        permitted = _may_assume(self, request, policies)
    else:
        permitted = allows(policies, request) and (not narrowing or allows(narrowing, request))
    if not permitted or _would_reveal(self, request, [policies, *([narrowing] if narrowing else [])]):
        self._raise_access_denied()


def _may_assume(self: Any, request: IamRequest, policies: list[Document]) -> bool:
    """A trust policy that names the caller suffices in the caller's account; one that names the account needs the caller's policy, too."""
    role = next((role for role in self.backend.get_roles() if role.arn == request.resource), None)
    if role is None or denies(policies, request):
        return False
    trust, caller = _parsed(role.assume_role_policy_document), self._access_key.arn
    account = caller.split(":")[4]
    if trusts(trust, [("AWS", caller)], request):
        return account == role.arn.split(":")[4] or allows(policies, request)
    everyone = [("AWS", account), ("AWS", f"arn:{caller.split(':')[1]}:iam::{account}:root"), ("AWS", "*")]
    return trusts(trust, everyone, request) and allows(policies, request)


def _would_reveal(self: Any, request: IamRequest, policy_sets: list[list[Document]]) -> bool:
    """True for an object that does not exist, if the caller may not list: then S3 answers "forbidden"."""
    if request.action != "s3:GetObject":
        return False
    bucket, _, key = request.resource.split(":::", 1)[1].partition("/")
    backend = s3_backends[self.account_id]["aws"]
    if bucket not in backend.buckets or backend.get_object(bucket, key) is not None:
        return False
    listing = IamRequest(action="s3:ListBucket", resource=request.resource.split("/", 1)[0], context={"s3:prefix": key})
    return not all(allows(policies, listing) for policies in policy_sets)


def _refuse_switched_off(self: Any) -> None:
    key_id = self._access_key._access_key_id  # noqa: SLF001 - moto's own way leads to a network of objects
    key = self.backend.access_keys.get(key_id)
    if key is not None and key.status != "Active":
        self._raise_invalid_access_key("InvalidId")


def _session_of(self: Any) -> AssumedRole | None:
    backend = sts_backends[self.account_id][self.backend.partition]
    session: AssumedRole | None = backend.get_assumed_role_from_access_key(self._access_key._access_key_id)  # noqa: SLF001
    return session


def _document(policy: Any) -> Document:
    """One of the forms in which moto keeps policies: text, a managed policy, or an inline one."""
    if isinstance(policy, Policy):
        return _parsed(next(version.document for version in policy.versions if version.is_default))
    return _parsed(policy if isinstance(policy, str) else policy["policy_document"])


def _parsed(text: str) -> Document:
    document: Document = json.loads(text)
    return document


def _first(value: Any) -> str:
    return str(value[0] if isinstance(value, list) else value)
