"""A run whose export would lie in what is this installation's own does not begin."""

import pytest

from services.clouds.own_resources import OwnResources
from services.executor.runs.prepared import RunPreparer, RunRequest
from services.executor.templates.catalog import Catalog
from services.executor.templates.name import PipelineName
from services.platform.clock import SystemClock
from services.platform.errors import InvalidArgument

WHEN = {"gcp": {"date": "2025-11-17"}, "aws": {"month": "2025-11"}, "azure": {"month": "2025-11"}}
OWN = OwnResources(names=frozenset({"acme-platform", "acme-bucket", "acmestorage"}))


@pytest.fixture(scope="module")
def preparer(catalog: Catalog) -> RunPreparer:
    return RunPreparer(catalog, SystemClock(), own=OWN)


def wanted(provider: str, template: str, **given: str) -> RunRequest:
    name = PipelineName(provider=provider, domain="cost", template=template)
    return RunRequest(pipeline_logging_id="x", tenant_id="shop", name=name, given=WHEN[provider] | given)


@pytest.mark.parametrize(
    ("provider", "template", "parameter", "ours", "theirs"),
    [
        ("gcp", "billing", "export_table", "acme-platform.tenants.tenant_api_keys", "shop-billing.export.t"),
        ("aws", "focus", "export", "s3://acme-bucket/p/n", "s3://shop-bucket/p/n"),
        ("azure", "focus", "export", "acmestorage/exports/d/n", "shopstorage/exports/d/n"),
    ],
)
def test_it_is_refused_by_the_parameter_s_name(
    preparer: RunPreparer, provider: str, template: str, parameter: str, ours: str, theirs: str
) -> None:
    with pytest.raises(InvalidArgument, match="this installation's own") as refused:
        preparer.prepare(wanted(provider, template, **{parameter: ours}))
    assert refused.value.field == f"parameters.{parameter}"
    assert preparer.prepare(wanted(provider, template, **{parameter: theirs})).values[parameter] == theirs


def test_a_table_without_a_project_lies_in_that_of_the_credentials(preparer: RunPreparer) -> None:
    name = "tenants.tenant_api_keys"
    assert preparer.prepare(wanted("gcp", "billing", export_table=name)).values["export_table"] == name
