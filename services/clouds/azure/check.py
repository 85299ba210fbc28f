"""Checks a tenant's access to Azure: the application's sign-in, who else could sign in, and the reading of one byte of the export."""

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from services.clouds.access import AccessRefused, TenantAccess, TokenOf
from services.clouds.attempt import Attempt, attempt, missing, refuses_others, untried
from services.clouds.azure.identity import AzureIdentity
from services.clouds.azure.location import AzureLocation
from services.clouds.azure.refusals import READER, AskedBlob, answer_of, blob_refused
from services.clouds.findings import Finding
from services.platform.errors import InvalidArgument

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

MAX_BLOBS: Final = 20
"""Blobs that are listed, of which one is read."""
SECRET, FEDERATED, SUBJECT = "client secret", "federated credential", "Subject identifier"
"""What the portal calls them, under Certificates & secrets; the last is a field of a federated credential."""


def check_azure(access: TenantAccess, export: str | None) -> Generator[Finding | None]:
    """`export`: account/container/directory/name; None: the reading is not checked. Raises as AccessCheck does."""
    try:
        location = AzureLocation.parse(export) if export else None
    except AccessRefused as refused:
        raise InvalidArgument("export", refused.message) from None
    identity = AzureIdentity(access)
    is_federated = identity.credentials.client_secret is None
    try:
        name = FEDERATED if is_federated else SECRET
        signed_in = attempt(name, identity.sign_in, "Microsoft Entra accepts it.", is_entrance=True)
        yield signed_in.finding
        if not signed_in.worked:
            return
        if is_federated and access.probes:
            yield from refuses_others(SUBJECT, access.probes, partial(_sign_in, access), partial(_opened, identity, access))
        if location:
            yield from _export(identity, location)
    finally:
        identity.close()


def _sign_in(access: TenantAccess, token_of: TokenOf) -> None:
    other = AzureIdentity(replace(access, token_of=token_of))
    try:
        other.sign_in()
    finally:
        other.close()


def _opened(identity: AzureIdentity, access: TenantAccess, subject: str) -> str:
    return (
        f"Application {identity.credentials.client_id} accepts this installation's identity token about {subject}, so other tenants could "
        f"name it as theirs. Replace its federated credential by one whose subject is exactly {access.tenant_id}, without a matching "
        "expression, under App registrations > the application > Certificates & secrets > Federated credentials."
    )


def _export(identity: AzureIdentity, location: AzureLocation) -> Generator[Finding]:
    """Lists the export's blobs, and reads a byte of one."""
    container = identity.container(location.account, location.container)
    listed = _asked(AskedBlob(account=location.account, container=location.container), lambda: _names(container, location))
    if not listed.worked:
        yield listed.finding
        return
    if not listed.answer:
        message = (
            f"There is no blob below {location} yet. Run the export once under Cost Management > Exports, and check again when it has "
            "finished. Compare storage account, container, directory and name with those of the export."
        )
        yield missing("export", message)
        yield untried(READER, f"Container {location.container} can be listed; there is no blob to read.")
        return
    name = listed.answer[0]
    asked = AskedBlob(account=location.account, container=location.container, name=name)
    yield _asked(asked, lambda: container.download_blob(name, offset=0, length=1).readall()).finding


def _names(container: "ContainerClient", location: AzureLocation) -> list[str]:
    """Some names; those with bytes first: the first byte of an empty blob cannot be read."""
    blobs = list(islice(container.list_blobs(name_starts_with=location.prefix, results_per_page=MAX_BLOBS), MAX_BLOBS))
    return [str(blob.name) for blob in sorted(blobs, key=lambda blob: not blob.size)]


def _asked[Answer](asked: AskedBlob, call: Callable[[], Answer]) -> Attempt[Answer]:
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - a process that serves other clouds only does without

    def worded() -> Answer:
        try:
            return call()
        except AzureError as error:
            raise blob_refused(answer_of(error), asked) from None

    return attempt(READER, worded, f"It lets us read in container {asked.container}.")
