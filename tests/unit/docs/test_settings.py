"""docs/google-cloud.md lists every setting of every service, with its default."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from services.auth.settings import AuthSettings
from services.credentials.settings import CredentialsSettings
from services.executor.settings import ExecutorSettings
from services.platform.plan import PlanLimits
from services.platform.settings import REPOSITORY, ServiceSettings
from services.scheduler.settings import SchedulerSettings

CLASSES: tuple[type[ServiceSettings], ...] = (ServiceSettings, AuthSettings, CredentialsSettings, ExecutorSettings, SchedulerSettings)
ROW = re.compile(r"^\| `(?P<name>[A-Z0-9_]+)` \| (?P<service>[^|]+) \| (?P<default>[^|]+) \| [^|]+ \|$", re.MULTILINE)
ROWS = {match["name"]: match["default"] for match in ROW.finditer((REPOSITORY / "docs/google-cloud.md").read_text())}


def variable(name: str, field: FieldInfo) -> str:
    """The environment variable of a field."""
    return field.validation_alias if isinstance(field.validation_alias, str) else f"CONVERGENCE_{name.upper()}"


def shown(value: object) -> str:
    """A default as the page writes it."""
    match value:
        case None | () | "":
            return "none"
        case tuple():
            return json.dumps(value)
        case bool():
            return str(value).lower()
        case int() | float():
            return f"{value:,.0f}" if value == int(value) else str(value)
        case PlanLimits():
            return json.dumps(asdict(value))
        case _:
            return str(value)


def settings() -> Iterator[tuple[str, object]]:
    """Each variable with each default that a service gives it."""
    for cls in CLASSES:
        for name, field in cls.model_fields.items():
            assert field.default is not PydanticUndefined, name
            yield variable(name, field), field.default


def test_the_page_lists_every_setting_and_no_other() -> None:
    assert set(ROWS) == {name for name, _ in settings()}


@pytest.mark.parametrize(("name", "default"), sorted({(name, shown(value)) for name, value in settings() if not isinstance(value, Path)}))
def test_the_page_gives_each_default(name: str, default: str) -> None:
    assert f"`{default}`" in ROWS[name]
