"""Azure as a source: Cost Management exports of FOCUS, and of actual and amortized cost, in a tenant's storage account."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from services.clouds.access import TenantAccess
from services.clouds.azure.identity import AzureIdentity, read_credentials
from services.clouds.azure.location import AzureLocation
from services.executor.settings import ExecutorSettings
from services.executor.sources.azure.both_costs import BothCosts
from services.executor.sources.azure.files import BlobFiles
from services.executor.sources.files.cloud_source import EXPORT, source_type
from services.executor.sources.files.manifest import BillingFiles, Dataset

AMORTIZED_EXPORT: Final = "amortized_export"
"""The parameter that names an export of amortized cost, besides that of actual cost; may be absent."""


def _export(dataset: Dataset, access: TenantAccess, parameters: Mapping[str, object], settings: ExecutorSettings) -> BillingFiles:
    """EXPORT and AMORTIZED_EXPORT are account/container/directory/name."""
    identity = AzureIdentity(access)

    def files(parameter: str, of: Dataset) -> BlobFiles:
        location = AzureLocation.parse(str(parameters[parameter]))
        return BlobFiles(identity, location, of, max_manifest_bytes=settings.files_max_manifest_bytes)

    export = files(EXPORT, dataset)
    if dataset is Dataset.ACTUAL and parameters.get(AMORTIZED_EXPORT):
        return BothCosts(export, files(AMORTIZED_EXPORT, Dataset.AMORTIZED))
    return export


FOCUS: Final = source_type("AZURE", check=read_credentials, open_export=partial(_export, Dataset.FOCUS))
COST: Final = source_type("AZURE", check=read_credentials, open_export=partial(_export, Dataset.ACTUAL))
"""Actual cost, and amortized cost if AMORTIZED_EXPORT names it."""
