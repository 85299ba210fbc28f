"""Fixtures with our templates."""

import shutil
from pathlib import Path

import pytest

from services.executor.steps import STEP_TYPES
from services.executor.templates.catalog import Catalog, load_catalog
from services.platform.settings import REPOSITORY, ServiceSettings


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    """A copy of what the executor reads."""
    for folder in ("bigquery", "gcp", "shared"):
        shutil.copytree(REPOSITORY / "configs" / folder, tmp_path / folder)
    return tmp_path


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    found = load_catalog(ServiceSettings().configs_dir, STEP_TYPES)
    assert found.broken == {}
    return found
