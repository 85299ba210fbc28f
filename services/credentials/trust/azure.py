"""Azure: an application with a federated credential for this tenant's subject, and the right to read one container (Entra, "Configure an
app to trust an external identity provider").
"""

import re
from collections.abc import Mapping
from typing import Final

from services.clouds.access import AccessRefused
from services.clouds.audiences import AZURE
from services.clouds.azure.location import AzureLocation
from services.credentials.trust.guide import GuideCommand, GuideField, Trusted, TrustGuide, checked, command, json_file
from services.platform.errors import InvalidArgument

_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
FIELDS: Final = {
    "directory_id": GuideField(pattern=_GUID, takes="the directory's (tenant's) id, a GUID"),
    "client_id": GuideField(pattern=_GUID, takes="the application's (client's) id, a GUID"),
    "subscription_id": GuideField(pattern=_GUID, takes="the subscription's id, a GUID"),
    "resource_group": GuideField(
        pattern=re.compile(r"[\w().-]{0,89}[\w()-]"), takes="a resource group's name, letters, digits and any of _().-"
    ),
    "export": GuideField(pattern=re.compile(r"[^/]+/.+"), takes="account/container/directory/name"),
}
PLACEHOLDERS: Final = {
    "DIRECTORY_ID": "directory_id",
    "CLIENT_ID": "client_id",
    "SUBSCRIPTION_ID": "subscription_id",
    "RESOURCE_GROUP": "resource_group",
    "STORAGE_ACCOUNT": "export",
    "CONTAINER": "export",
}
"""And the field that says them."""
APPLICATION: Final = "convergence-cost-reader"
ROLE: Final = "Storage Blob Data Reader"


def azure_guide(trusted: Trusted, values: Mapping[str, str]) -> TrustGuide:
    """Raises InvalidArgument."""
    given = checked(values, FIELDS, "AZURE")
    account, container = _container(given.get("export"))
    ids = {name: given.get(name, name.upper()) for name in ("directory_id", "client_id", "subscription_id", "resource_group")}
    group = f"/subscriptions/{ids['subscription_id']}/resourceGroups/{ids['resource_group']}"
    scope = f"{group}/providers/Microsoft.Storage/storageAccounts/{account}/blobServices/default/containers/{container}"
    client = ids["client_id"]
    return TrustGuide(
        audience=AZURE,
        files=(
            json_file(
                "federated-credential.json",
                {
                    "name": "convergence",
                    "issuer": trusted.issuer,
                    "subject": trusted.subject,
                    "audiences": [AZURE],
                    "description": f"Convergence reads cost exports for tenant {trusted.subject}",
                },
            ),
        ),
        commands=(
            *(() if "client_id" in given else (_registration(),)),
            command("Gives the application an identity in the directory.", "az", "ad", "sp", "create", "--id", client),
            command(
                "Makes the application trust tokens about this tenant alone.",
                *("az", "ad", "app", "federated-credential", "create", "--id", client, "--parameters", "@federated-credential.json"),
            ),
            command(
                "Lets the application read the container of the export and nothing else.",
                *("az", "role", "assignment", "create", "--assignee", client, "--role", ROLE, "--scope", scope),
            ),
        ),
        credentials={name: ids[name] for name in ("directory_id", "client_id", "subscription_id")},
        placeholders=tuple(word for word, field in PLACEHOLDERS.items() if field not in given),
    )


def _registration() -> GuideCommand:
    words = ("az", "ad", "app", "create", "--display-name", APPLICATION, "--query", "appId", "--output", "tsv")
    return command("Registers an application and prints its CLIENT_ID.", *words)


def _container(export: str | None) -> tuple[str, str]:
    if export is None:
        return "STORAGE_ACCOUNT", "CONTAINER"
    try:
        location = AzureLocation.parse(export)
    except AccessRefused as refused:
        raise InvalidArgument("export", refused.message) from None
    return location.account, location.container
