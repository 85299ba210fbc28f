"""What a browser measures of a page."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from playwright.async_api import Page

# Two frames after all scripts have run, the page is painted and answers.
WATCH: Final = """
window.benchInteractive = new Promise((resolve) => {
  addEventListener("load", () => requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now()))));
});
"""
_TIMES: Final = """
async () => {
  const [page] = performance.getEntriesByType("navigation");
  return {server: page.responseEnd - page.requestStart, interactive: await window.benchInteractive, bytes: page.decodedBodySize};
}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """One visit."""

    server_ms: float
    """From the request to the last byte of the page."""
    interactive_ms: float
    """From the click to a page that is painted and answers."""
    bytes: int
    """Of the HTML."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """The visits of one page."""

    name: str
    visits: Sequence[Times]
    """The first one found nothing in any cache."""

    @property
    def first(self) -> Times:
        """The first visit."""
        return self.visits[0]

    def again(self, field: str) -> float:
        """The median of the later visits."""
        return statistics.median(float(getattr(one, field)) for one in self.visits[1:])


async def visit(page: Page, url: str) -> Times:
    """Goes there, in a tab that WATCHes. Raises ValueError unless the page is there."""
    answer = await page.goto(url)
    if answer is None or not answer.ok:
        raise ValueError(f"{url} answers {answer and answer.status}: {await page.locator('main').inner_text()}")
    found = await page.evaluate(_TIMES)
    return Times(server_ms=found["server"], interactive_ms=found["interactive"], bytes=found["bytes"])
