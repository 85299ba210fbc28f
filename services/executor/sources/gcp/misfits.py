"""Explains columns of an export that do not have the type that Google's exports have."""

from collections.abc import Iterator
from contextlib import contextmanager

from services.executor.errors import StepError
from services.executor.staging.casting import ColumnMisfit


@contextmanager
def misfits_explained() -> Iterator[None]:
    """Adds what to do about a column that does not fit. Exports written by Google fit, so it must be a copy."""
    try:
        yield
    except ColumnMisfit as misfit:
        raise StepError(
            f"{misfit.what}, as billing exports have it. Name the export that Google writes in export_table, or cast the column in the "
            "copy."
        ) from misfit
