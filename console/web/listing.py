"""Lists with filters that come in pages."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from console.gateway.api import Json


def address(path: str, query: Mapping[str, str]) -> str:
    """The list's address with these filters; empty ones are left out."""
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def pages(path: str, filters: Mapping[str, str], token: str, answer: Json) -> dict[str, Any]:
    """The addresses `first` and `next`, for the macro `pager`; empty: there is none. `token` is that of the page that is shown."""
    following = answer["next_page_token"]
    return {
        "first": address(path, filters) if token else "",
        "next": address(path, {**filters, "page_token": following}) if following else "",
    }
