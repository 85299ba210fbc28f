"""Which pictures there are."""

from dataclasses import dataclass, field
from typing import Final, Literal

from playwright.async_api import ViewportSize

from tests.support.browser import PHONE

WIDE: Final[ViewportSize] = {"width": 1200, "height": 760}


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """docs/images/console-{name}.png."""

    name: str
    path: str
    """`{run}` is a run that has ended."""
    scheme: Literal["light", "dark"] = "light"
    viewport: ViewportSize = field(default_factory=lambda: WIDE)


TENANT_PICTURES: Final = (
    Picture(name="costs", path="/costs?group=provider"),
    Picture(name="run", path="/runs/{run}"),
    Picture(name="runs-phone", path="/runs", scheme="dark", viewport=PHONE),
    Picture(name="setup", path="/setup", scheme="dark"),
)
OPERATOR_PICTURES: Final = (Picture(name="tenants", path="/tenants"), Picture(name="fleet", path="/fleet"))
