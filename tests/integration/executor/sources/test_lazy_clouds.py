"""An executor loads a cloud's libraries when it opens a tenant's source there, not when it reads the templates."""

import subprocess
import sys

PROGRAM = """
import sys
import services.executor.service
from pathlib import Path
from services.executor.sources.registry import DATASETS
from services.executor.steps import STEP_TYPES
from services.executor.templates.catalog import load_catalog
catalog = load_catalog(Path('configs'), STEP_TYPES)
assert not catalog.broken, catalog.broken
assert {name.provider for name in catalog.templates} == {'gcp', 'aws', 'azure'}
print(sorted({name.split('.')[0] for name in sys.modules} & {'boto3', 'botocore', 'azure', 'msal', 's3transfer'}))
"""


def test_all_templates_are_loaded_without_any_library_of_aws_or_azure() -> None:
    loaded = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True).stdout
    assert loaded.strip() == "[]"
