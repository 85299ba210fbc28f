"""The Terraform files say what the code says. Whether they are well formed: `make check-deploy`."""

import re

from services.doctor.checks.roles import EDITS, READS
from services.platform.settings import REPOSITORY
from tests.support.yaml_text import parsed

FOLDER = REPOSITORY / "deploy" / "terraform"


def tables(name: str) -> dict[str, list[str]]:
    """A local of control_dataset.tf that lists tables by part."""
    [block] = re.findall(rf"^  {name} = {{\n(.*?)^  }}", (FOLDER / "control_dataset.tf").read_text(), re.DOTALL | re.MULTILINE)
    parts = re.findall(r"(\w+)\s*= \[(.*?)\]", block, re.DOTALL)
    return {part: re.findall(r'"(\w+)"', listed) for part, listed in parts}


def test_each_service_edits_the_tables_that_the_doctor_expects_it_to() -> None:
    found = tables("edits")
    assert found.pop("reencrypt") == ["tenant_cloud_credentials"]
    assert {part: sorted(names) for part, names in found.items()} == {part: sorted(names) for part, names in EDITS.items()}


def test_and_reads_those_that_the_doctor_expects_it_to() -> None:
    found = tables("reads")
    for part, names in READS.items():
        assert set(names) <= set(found[part])


def test_the_jobs_are_read_from_their_one_file() -> None:
    """With the keys that the file has."""
    text = (FOLDER / "jobs.tf").read_text()
    jobs = parsed((REPOSITORY / "configs" / "cloud_scheduler" / "jobs.yaml").read_text())["jobs"]
    keys = set(re.findall(r"each\.value\.(\w+(?:\.\w+)?)", text))
    for job in jobs:
        for key in keys:
            value = job
            for part in key.split("."):
                value = value[part]
    assert "oidc_token" in text
    assert "X-Admin-Key" not in text
