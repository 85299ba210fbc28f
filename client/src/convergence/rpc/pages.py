"""Lists that come in pages, as iteration. A page is fetched when its first item is asked for."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Page = TypeVar("Page")


class Pages(Generic[T, Page]):
    """The items of all pages; each iteration begins at the first one."""

    def __init__(self, fetch: Callable[[str], Page], items: str) -> None:
        """`fetch` takes a page token, `items` is the field of a page that holds the items."""
        self._fetch, self._items = fetch, items

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from getattr(page, self._items)

    def pages(self) -> Iterator[Page]:
        """The answers themselves, e.g. for the `totals` of costs."""
        token: str | None = ""
        while token is not None:
            page = self._fetch(token)
            yield page
            token = next_token(page)

    def first_page(self) -> Page:
        """Only the first answer."""
        return self._fetch("")


class AsyncPages(Generic[T, Page]):
    """The items of all pages; each iteration begins at the first one."""

    def __init__(self, fetch: Callable[[str], Awaitable[Page]], items: str) -> None:
        """As `Pages`."""
        self._fetch, self._items = fetch, items

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in getattr(page, self._items):
                yield item

    async def pages(self) -> AsyncIterator[Page]:
        """The answers themselves, e.g. for the `totals` of costs."""
        token: str | None = ""
        while token is not None:
            page = await self._fetch(token)
            yield page
            token = next_token(page)

    async def first_page(self) -> Page:
        """Only the first answer."""
        return await self._fetch("")


def next_token(page: Any) -> str | None:
    """The token of the page after this one; None: it is the last. Lists that come as a whole have no token."""
    return getattr(page, "next_page_token", "") or None
