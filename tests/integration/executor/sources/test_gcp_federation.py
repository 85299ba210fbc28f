"""A tenant's BigQuery is read by the tenant's subject, or by the account that it may use, with tokens of the local token service alone."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.auth.credentials import Credentials
from google.cloud import bigquery

from localcloud.settings import LocalSettings
from services.clouds.access import CloudEndpoints, TenantAccess
from services.executor.errors import StepError
from services.executor.metering.meter import StepMeter
from services.executor.records import Period
from services.executor.settings import ExecutorSettings
from services.executor.sources.gcp.source import GCP
from services.executor.sources.source import Export, ReadRequest
from services.executor.staging.schema import staging_schema
from services.platform.settings import ServiceSettings
from tests.support.executor.billing_export import DAY, export, row
from tests.support.executor.tenant import Tenant
from tests.support.google_sts import EMAIL, POOL, PROVIDER, allow_impersonation, google_sts, trust
from tests.support.oidc_issuer import LocalIssuer, local_issuer
