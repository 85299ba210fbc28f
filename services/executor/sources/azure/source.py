"""Azure as a source: Cost Management exports of FOCUS, and of actual and amortized cost, in a tenant's storage account."""

from functools import partial
from typing import Final

from services.clouds.access import AccessRefused, TenantAccess
from services.clouds.azure.identity import AzureIdentity, read_credentials
from services.clouds.azure.location import AzureLocation
from services.executor.errors import StepError
from services.executor.metering.meter import StepMeter
from services.executor.settings import ExecutorSettings
from services.executor.sources.azure.both_costs import BothCosts
from services.executor.sources.azure.files import BlobFiles
from services.executor.sources.files.files_source import REPLACES, FilesSource
from services.executor.sources.files.manifest import BillingFiles, Dataset
from services.executor.sources.source import MONTHS_OUTPUTS, CheckCancelled, Export, ReadRequest, Source, SourceType, Unchanged

EXPORT: Final = "export"
"""The parameter that names the export: account/container/directory/name."""
AMORTIZED_EXPORT: Final = "amortized_export"
"""The parameter that names an export of amortized cost, besides that of actual cost; may be absent."""


class AzureSource:
    """A tenant's access to Azure; `sources.source.Source`."""

    def __init__(self, access: TenantAccess, dataset: Dataset, settings: ExecutorSettings, meter: StepMeter) -> None:
        self._access, self._dataset, self._settings, self._meter = access, dataset, settings, meter
        self._source: FilesSource | None = None

    def find(self, request: ReadRequest, check_cancelled: CheckCancelled) -> Export | Unchanged:
        """The export's billing periods; see FilesSource."""
        amortized = request.parameters.get(AMORTIZED_EXPORT) if self._dataset is Dataset.ACTUAL else None
        try:
            identity = AzureIdentity(self._access)
            files: BillingFiles = self._files(identity, str(request.parameters[EXPORT]), self._dataset)
            if amortized:
                files = BothCosts(files, self._files(identity, str(amortized), Dataset.AMORTIZED))
        except AccessRefused as refused:
            raise StepError(refused.message, is_retryable=refused.is_retryable) from None
        self._source = FilesSource(files, self._access.provider, self._settings, self._meter)
        return self._source.find(request, check_cancelled)

    def close(self) -> None:
        """Closes the connections."""
        if self._source:
            self._source.close()

    def _files(self, identity: AzureIdentity, location: str, dataset: Dataset) -> BlobFiles:
        return BlobFiles(identity, AzureLocation.parse(location), dataset, max_manifest_bytes=self._settings.files_max_manifest_bytes)


def open_azure(access: TenantAccess, settings: ExecutorSettings, meter: StepMeter, *, dataset: Dataset) -> Source:
    """Parses the credentials. Raises StepError if they cannot be used."""
    try:
        read_credentials(access.plaintext)
    except AccessRefused as refused:
        raise StepError(refused.message) from None
    return AzureSource(access, dataset, settings, meter)


def _type(dataset: Dataset) -> SourceType:
    return SourceType(
        provider="AZURE",
        parameters={EXPORT: "export", REPLACES: "export"},
        reads_days=False,
        reads_months=True,
        outputs={"source_rows": "INT64", **MONTHS_OUTPUTS},
        open=partial(open_azure, dataset=dataset),
    )


FOCUS: Final = _type(Dataset.FOCUS)
COST: Final = _type(Dataset.ACTUAL)
"""Actual cost, and amortized cost if AMORTIZED_EXPORT names it."""
