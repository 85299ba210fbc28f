"""AWS as a source: Data Exports of FOCUS, and Cost and Usage Reports, in a tenant's S3."""

from functools import partial
from typing import Final

from services.clouds.access import AccessRefused, TenantAccess
from services.clouds.aws.credentials import read_aws
from services.clouds.aws.location import S3Location
from services.executor.errors import StepError
from services.executor.metering.meter import StepMeter
from services.executor.settings import ExecutorSettings
from services.executor.sources.aws.files import S3Files
from services.executor.sources.files.files_source import REPLACES, FilesSource
from services.executor.sources.files.manifest import Dataset
from services.executor.sources.source import MONTHS_OUTPUTS, CheckCancelled, Export, ReadRequest, Source, SourceType, Unchanged

EXPORT: Final = "export"
"""The parameter that names the export: s3://bucket/prefix/name."""


class AwsSource:
    """A tenant's access to AWS; `sources.source.Source`."""

    def __init__(self, access: TenantAccess, dataset: Dataset, settings: ExecutorSettings, meter: StepMeter) -> None:
        self._access, self._dataset, self._settings, self._meter = access, dataset, settings, meter
        self._source: FilesSource | None = None

    def find(self, request: ReadRequest, check_cancelled: CheckCancelled) -> Export | Unchanged:
        """The export's billing periods; see FilesSource."""
        try:
            location = S3Location.parse(str(request.parameters[EXPORT]))
            files = S3Files(self._access, location, self._dataset, max_manifest_bytes=self._settings.files_max_manifest_bytes)
        except AccessRefused as refused:
            raise StepError(refused.message, is_retryable=refused.is_retryable) from None
        self._source = FilesSource(files, self._access.provider, self._settings, self._meter)
        return self._source.find(request, check_cancelled)

    def close(self) -> None:
        """Closes the connections."""
        if self._source:
            self._source.close()


def open_aws(access: TenantAccess, settings: ExecutorSettings, meter: StepMeter, *, dataset: Dataset) -> Source:
    """Parses the credentials. Raises StepError if they cannot be used."""
    try:
        read_aws(access.plaintext)
    except AccessRefused as refused:
        raise StepError(refused.message) from None
    return AwsSource(access, dataset, settings, meter)


def _type(dataset: Dataset) -> SourceType:
    return SourceType(
        provider="AWS",
        parameters={EXPORT: "export", REPLACES: "export"},
        reads_days=False,
        reads_months=True,
        outputs={"source_rows": "INT64", **MONTHS_OUTPUTS},
        open=partial(open_aws, dataset=dataset),
    )


FOCUS: Final = _type(Dataset.FOCUS)
CUR: Final = _type(Dataset.CUR)
"""Either kind of report: which one, the bucket shows."""
