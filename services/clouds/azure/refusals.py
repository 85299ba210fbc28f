"""Explains to a tenant why Microsoft Entra or Azure Storage refuses its access: a sentence for the cause, and what to do about it.

Read from the AADSTS number of a sign-in error ("Microsoft Entra authentication and authorization error codes") and from Blob Storage's
error code ("Blob service error codes"). Azure's own text is matched and never passed on: it may quote requests. Pure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from services.clouds.access import AccessRefused
from services.clouds.audiences import AZURE

READER: Final = "Storage Blob Data Reader"

_TOO_MANY, _SERVER_ERROR = 429, 500
_UNAUTHORIZED, _FORBIDDEN, _MISSING = 401, 403, 404
_AADSTS = re.compile(r"aadsts(\d+)")
_SECRETS = "under App registrations > the application > Certificates & secrets"
_OVERVIEW = "in the Azure portal, Microsoft Entra ID > Overview"


@dataclass(frozen=True, kw_only=True, slots=True)
class SignIn:
    """Who signs in, for messages."""

    tenant_id: str
    """Ours: the subject of identity tokens."""
    directory_id: str
    client_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedBlob:
    """What was asked for in Blob Storage, for messages."""

    account: str
    container: str
    name: str | None = None
    """None: the container as a whole."""

    @property
    def what(self) -> str:
        """E.g. `container c of storage account a`."""
        place = f"container {self.container} of storage account {self.account}"
        return place if self.name is None else f"{self.name} in {place}"


@dataclass(frozen=True, kw_only=True, slots=True)
class AzureAnswer:
    """What an error of Azure's clients says."""

    status: int | None
    """The HTTP status; None: unknown, or there was no answer."""
    is_missing: bool
    """True if there was no answer, or it ended too early."""
    code: str
    """Blob Storage's error code; empty for others."""
    text: str
    """In lower case, of the error and its causes. Never shown."""

    @property
    def is_transient(self) -> bool:
        """True if the same request may succeed later."""
        return self.is_missing or self.status == _TOO_MANY or (self.status or 0) >= _SERVER_ERROR


def answer_of(error: BaseException) -> AzureAnswer:
    """Reads an error of azure-core, azure-identity or azure-storage-blob."""
    chain = list(_chain(error))
    statuses = [status for one in chain if isinstance(status := getattr(one, "status_code", None), int)]
    codes = [str(getattr(code, "value", code)) for one in chain if (code := getattr(one, "error_code", None))]
    return AzureAnswer(
        status=statuses[0] if statuses else None,
        is_missing=not statuses and any(one.__name__ in _UNANSWERED for error in chain for one in type(error).__mro__),
        code=codes[0] if codes else "",
        text=" ".join(str(one) for one in chain).lower(),
    )


def sign_in_refused(answer: AzureAnswer, who: SignIn) -> AccessRefused:
    """Why Entra gives no token."""
    found = _AADSTS.search(answer.text)
    code = found[1] if found else ""
    if code in _TRANSIENT or (not code and answer.is_transient):
        return AccessRefused("Microsoft Entra did not answer the sign-in. Run it again in a moment.", is_retryable=True)
    if "not configured to acquire tokens for tenant" in answer.text:
        return AccessRefused(
            f"The storage account belongs to another Microsoft Entra directory than {who.directory_id}. Register an application in the "
            "storage account's directory, and set the AZURE credentials with that directory_id."
        )
    return _of_secret(code, who) or _of_application(code, answer, who) or _of_federation(code, who) or _unknown(code, who)


def blob_refused(answer: AzureAnswer, asked: AskedBlob) -> AccessRefused:
    """Why Blob Storage does not answer a request."""
    if answer.is_missing and _is_unknown_name(answer.text):
        return _no_account(asked)
    if answer.is_transient:
        return AccessRefused(f"Azure Storage did not answer when asked for {asked.what}. Run it again in a moment.", is_retryable=True)
    usual = {_UNAUTHORIZED: "InvalidAuthenticationInfo", _FORBIDDEN: "AuthorizationPermissionMismatch"}
    code = _SAME.get(answer.code, answer.code)
    code = code if code in _EXPLAINED else usual.get(answer.status or 0, "")
    explained = _EXPLAINED.get(code, "Azure Storage could not read {what} (status {status}). Check the export's location.")
    message = explained.format(what=asked.what, account=asked.account, container=asked.container, role=READER, status=answer.status)
    return AccessRefused(message, is_retryable=answer.code in _PASSES, setting=_SETTINGS.get(code, "export"))


def _of_secret(code: str, who: SignIn) -> AccessRefused | None:
    match code:
        case "7000215":
            return AccessRefused(
                f"Microsoft Entra refuses the client secret of application {who.client_id}. Perhaps it is the secret's id, or it was "
                f"deleted: make a new one {_SECRETS}, copy its Value (not its Secret ID), and set the AZURE credentials again."
            )
        case "7000222":
            return AccessRefused(
                f"The client secret of application {who.client_id} has expired. Make a new one {_SECRETS}, and set the AZURE credentials "
                "again with its Value."
            )
    return None


def _of_application(code: str, answer: AzureAnswer, who: SignIn) -> AccessRefused | None:
    match code:
        case "90002" | "900021" | "900023" | "50059":
            return _no_directory(who)
        case "" if "authority configuration" in answer.text:
            return _no_directory(who)
        case "700016" | "7000229":
            return AccessRefused(
                f"Directory {who.directory_id} has no application {who.client_id}. Compare client_id with the Application (client) ID "
                f"under App registrations, and directory_id with the Directory (tenant) ID {_OVERVIEW}."
            )
        case "7000112":
            return AccessRefused(
                f"Application {who.client_id} is disabled. Enable it for sign-in under Enterprise applications > the application > "
                "Properties."
            )
        case "53003" | "530003" | "53000" | "53001":
            return AccessRefused(
                f"A Conditional Access policy of directory {who.directory_id} blocks application {who.client_id}. Exclude the application "
                "from the policy under Microsoft Entra ID > Protection > Conditional Access."
            )
    return None


def _of_federation(code: str, who: SignIn) -> AccessRefused | None:
    where = f"the federated credential of application {who.client_id} {_SECRETS} > Federated credentials"
    trust = "GET .../credentials/azure/trust lists what it must say. A new one takes some minutes to be known."
    match code:
        case "700211":
            return AccessRefused(f"No federated credential of application {who.client_id} names our issuer. Correct {where}; {trust}")
        case "700213":
            return AccessRefused(
                f"No federated credential of application {who.client_id} names the subject {who.tenant_id}. Correct {where}; {trust}"
            )
        case "700212":
            return AccessRefused(
                f"No federated credential of application {who.client_id} names the audience {AZURE}. Correct {where}; {trust}"
            )
        case "70021":
            return AccessRefused(
                f"No federated credential of application {who.client_id} matches our issuer, the subject {who.tenant_id} and the audience "
                f"{AZURE}. Add or correct {where}; {trust}"
            )
        case "700024" | "700027" | "50027" | "50166" | "90061":
            return AccessRefused(
                "Microsoft Entra could not verify our identity token: it does not reach this installation's published keys, or it knows "
                "old ones. Run it again in some minutes; if it stays so, ask the operator of this installation.",
                is_retryable=True,
            )
    return None


def _unknown(code: str, who: SignIn) -> AccessRefused:
    named = f" (AADSTS{code})" if code else ""
    return AccessRefused(
        f"Microsoft Entra refuses application {who.client_id} in directory {who.directory_id}{named}. Look at the application's sign-in "
        "log under Microsoft Entra ID > Monitoring > Sign-in logs > Service principal sign-ins, which names the cause."
    )


def _no_directory(who: SignIn) -> AccessRefused:
    return AccessRefused(
        f"There is no Microsoft Entra directory {who.directory_id}. Copy the Directory (tenant) ID {_OVERVIEW}, and set the AZURE "
        "credentials again."
    )


def _no_account(asked: AskedBlob) -> AccessRefused:
    return AccessRefused(_EXPLAINED["AccountNotFound"].format(account=asked.account), setting="export")


def _is_unknown_name(text: str) -> bool:
    """Answers of a resolver that mean that there is no such name; a resolver that does not answer ("temporary failure") is no such."""
    return any(
        part in text for part in ("name or service not known", "nodename nor servname", "no address associated", "getaddrinfo failed")
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from; at most ten."""
    one: BaseException | None = error
    for _ in range(10):
        if one is None:
            return
        yield one
        one = one.__cause__ or one.__context__


_UNANSWERED: Final = frozenset({"ServiceRequestError", "ServiceResponseError", "IncompleteReadError"})
"""Errors of azure-core that a request failed with, by the names of their classes, which are not imported here."""
_TRANSIENT: Final = frozenset({"90033", "90024", "90025", "90036", "50196", "90055"})
"""Entra's own outages and throttling."""
_PASSES: Final = frozenset({"ConditionNotMet", "ContainerBeingDeleted", "AccountBeingCreated"})
"""Refusals that pass by themselves."""
_EXPLAINED: Final = {
    "AuthorizationPermissionMismatch": (
        "The application may not read {what}. Grant it {role} on the container: in the portal under Storage accounts > {account} > "
        "Containers > {container} > Access Control (IAM), or with az role assignment create. A new role takes up to ten minutes."
    ),
    "AuthorizationFailure": (
        "The firewall of storage account {account} does not let us in. Allow this installation's addresses, or all networks, in the portal "
        "under Storage accounts > {account} > Networking."
    ),
    "AccountIsDisabled": "Storage account {account} is disabled. Enable its subscription again in the portal, and run it again.",
    "InvalidAuthenticationInfo": (
        "Storage account {account} does not accept sign-ins of the credentials' directory. Set the AZURE credentials with the directory_id "
        "of the storage account's subscription and an application registered there."
    ),
    "AccountNotFound": (
        "There is no storage account {account}. Compare the first part of the export's location with the name under Storage accounts in "
        "the portal, or with az storage account list."
    ),
    "ContainerNotFound": (
        "Storage account {account} has no container {container}. Compare the second part of the export's location with the export's "
        "destination in the portal under Cost Management > Exports."
    ),
    "BlobNotFound": "There is no {what}. Run the export once under Cost Management > Exports, and run this again when it has finished.",
    "BlobArchived": "{what} is in the archive tier. Move it to the hot or cool tier in the portal, or run the export again.",
    "ConditionNotMet": "{what} was replaced while it was read. Run it again when the export has finished.",
    "ContainerBeingDeleted": "{what} is being deleted. Make the container again, run the export, and run this again.",
    "AccountBeingCreated": "Storage account {account} is not ready yet. Run it again in some minutes.",
}
"""By Blob Storage's error code."""
_SAME: Final = {
    "InsufficientAccountPermissions": "AuthorizationPermissionMismatch",
    "NoAuthenticationInformation": "InvalidAuthenticationInfo",
    "AuthenticationFailed": "InvalidAuthenticationInfo",
    "ResourceNotFound": "BlobNotFound",
    "NetworkSecurityPerimeterDenied": "AuthorizationFailure",
}
"""Codes that mean the same as one of these."""
_SETTINGS: Final = {
    "AuthorizationPermissionMismatch": READER,
    "AuthorizationFailure": "Networking",
    "InvalidAuthenticationInfo": "directory_id",
    "AccountIsDisabled": "Subscription",
}
"""By code, what the portal calls what is missing; of others, the export is not there."""
