"""AWS as a source: Data Exports of FOCUS, and Cost and Usage Reports, in a tenant's S3."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from services.clouds.access import TenantAccess
from services.clouds.aws.credentials import read_aws
from services.clouds.aws.location import S3Location
from services.executor.settings import ExecutorSettings
from services.executor.sources.aws.files import S3Files
from services.executor.sources.files.cloud_source import EXPORT, source_type
from services.executor.sources.files.manifest import BillingFiles, Dataset


def _export(dataset: Dataset, access: TenantAccess, parameters: Mapping[str, object], settings: ExecutorSettings) -> BillingFiles:
    """EXPORT is s3://bucket/prefix/name."""
    location = S3Location.parse(str(parameters[EXPORT]))
    return S3Files(access, location, dataset, max_manifest_bytes=settings.files_max_manifest_bytes)


FOCUS: Final = source_type("AWS", check=read_aws, open_export=partial(_export, Dataset.FOCUS))
CUR: Final = source_type("AWS", check=read_aws, open_export=partial(_export, Dataset.CUR))
"""Either kind of report: which one, the bucket shows."""
