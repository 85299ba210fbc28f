"""A cloud whose exports are files, as a source: opened with the tenant's access once the run says where its export lies."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from services.clouds.access import AccessRefused, TenantAccess
from services.clouds.own_resources import NOT_YOURS
from services.executor.errors import StepError
from services.executor.metering.meter import StepMeter
from services.executor.settings import ExecutorSettings
from services.executor.sources.files.files_source import REPLACES, FilesSource
from services.executor.sources.files.manifest import BillingFiles
from services.executor.sources.source import MONTHS_OUTPUTS, CheckCancelled, Export, ReadRequest, Source, SourceType, Unchanged

EXPORT: Final = "export"
"""The parameter that names the export."""

type OpenExport = Callable[[TenantAccess, Mapping[str, object], ExecutorSettings], BillingFiles]
"""Opens the export that the run's parameters name. Raises AccessRefused."""


class CloudSource:
    """A tenant's access to such a cloud; `sources.source.Source`."""

    def __init__(self, open_export: OpenExport, access: TenantAccess, settings: ExecutorSettings, meter: StepMeter) -> None:
        self._open_export, self._access, self._settings, self._meter = open_export, access, settings, meter
        self._source: FilesSource | None = None

    def find(self, request: ReadRequest, check_cancelled: CheckCancelled) -> Export | Unchanged:
        """The export's billing periods; see FilesSource."""
        for name, value in request.parameters.items():
            # EXPORT, and those of a cloud that takes a second one beside it.
            if name.endswith(EXPORT) and self._access.endpoints.own.has_export(self._access.provider, str(value)):
                raise StepError(f"The parameter {name} names a place that {NOT_YOURS}")
        try:
            files = self._open_export(self._access, request.parameters, self._settings)
        except AccessRefused as refused:
            raise StepError(refused.message, is_retryable=refused.is_retryable) from None
        self._source = FilesSource(files, self._access.provider, self._settings, self._meter)
        return self._source.find(request, check_cancelled)

    def close(self) -> None:
        """Closes the connections."""
        if self._source:
            self._source.close()


def source_type(provider: str, *, check: Callable[[bytes], object], open_export: OpenExport) -> SourceType:
    """`provider`: upper-case. `check` parses the stored credentials, and raises AccessRefused if they cannot be used."""
    return SourceType(
        provider=provider,
        parameters={EXPORT: "export", REPLACES: "export"},
        reads_days=False,
        reads_months=True,
        outputs={"source_rows": "INT64", **MONTHS_OUTPUTS},
        open=partial(_open, check, open_export),
    )


def _open(
    check: Callable[[bytes], object], open_export: OpenExport, access: TenantAccess, settings: ExecutorSettings, meter: StepMeter
) -> Source:
    try:
        check(access.plaintext)
    except AccessRefused as refused:
        raise StepError(refused.message) from None
    return CloudSource(open_export, access, settings, meter)
