"""Errors of the emulator that are no fault of a query."""

import duckdb
import pytest
from google.api_core import exceptions as google
from local_bigquery import errors

from localcloud.bigquery.emulator import blame_duckdb_for_its_own_errors
from services.platform.bigquery.transient import is_transient


def test_an_error_of_duckdb_s_own_is_one_that_clients_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "STATUSES", dict(errors.STATUSES))
    monkeypatch.setattr(errors, "DUCKDB_ERRORS", list(errors.DUCKDB_ERRORS))
    blame_duckdb_for_its_own_errors()
    met = errors.from_exception(duckdb.BinderException('Binder Error: Failed to bind column reference "schema_name" [2.1] (bindings: {})'))
    assert (met.code, met.reason) == (400, "jobBackendError")
    answer = google.BadRequest(met.message, errors=[met.proto()])  # type: ignore[no-untyped-call]  # untyped upstream
    assert is_transient(answer)
    assert errors.from_exception(duckdb.BinderException('Binder Error: Referenced column "a" not found')).reason == "invalidQuery"
