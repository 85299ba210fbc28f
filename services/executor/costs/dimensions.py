"""Dimensions by which costs can be grouped and filtered: columns of `focus_cost_daily`, and the keys of its tags."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from services.platform.errors import InvalidArgument

TAG: Final = "tag:"
KEY_LENGTH = 512
"""Characters of a tag's key, and of a value: more than any cloud allows."""
MOST_GROUPED, MOST_FILTERS = 4, 50

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_LISTED = re.compile(rf'\s*(tag:{_QUOTED}|[^,"]*?)\s*(?:,|$)')
_FILTER = re.compile(rf'(tag:{_QUOTED}|[^="]*)=(.*)', re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class FocusColumn:
    """A column of `focus_cost_daily`."""

    name: str
    nullable: bool


PROVIDER: Final = "provider"
COLUMNS: Final = {
    PROVIDER: FocusColumn(name="ProviderName", nullable=False),
    "service": FocusColumn(name="ServiceName", nullable=False),
    "category": FocusColumn(name="ServiceCategory", nullable=False),
    "account": FocusColumn(name="SubAccountId", nullable=True),
    "billing_account": FocusColumn(name="BillingAccountId", nullable=False),
    "region": FocusColumn(name="RegionId", nullable=True),
    "charge_category": FocusColumn(name="ChargeCategory", nullable=False),
    "pricing_category": FocusColumn(name="PricingCategory", nullable=True),
}
"""Dimension to column."""
CLOUDS: Final = frozenset({"AWS", "AZURE", "GCP"})
"""Names of the clouds in credentials, pipelines and x_Provider. ProviderName has the names that the clouds give themselves."""
ACCEPTED: Final = f"{', '.join(COLUMNS)}, {TAG}KEY"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dimension:
    """One dimension, as its name was checked."""

    column: FocusColumn | None
    """None: a tag."""
    key: str = ""
    """The tag's key."""
    name: str
    """As in an answer: `service`, or `tag:team`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """Rows whose dimension has one of these values; an empty value stands for rows that have none."""

    dimension: Dimension
    values: tuple[str, ...]
    """Sorted, each once, at least one."""

    @property
    def clouds(self) -> tuple[str, ...]:
        """The values of the filter that are a cloud's name in CLOUDS, in upper or lower case."""
        return tuple(sorted({value.upper() for value in self.values} & CLOUDS)) if self.dimension.name == PROVIDER else ()


def read_group_by(given: Sequence[str]) -> tuple[Dimension, ...]:
    """The dimensions of `group_by`. Each parameter has one or more, separated by commas, or is empty. Raises InvalidArgument."""
    names = [name for text in given if text for name in _listed(text)]
    dimensions = tuple(_dimension("group_by", name) for name in names)
    if len(dimensions) > MOST_GROUPED:
        raise InvalidArgument("group_by", f"use at most {MOST_GROUPED} dimensions.")
    if len({dimension.name for dimension in dimensions}) < len(dimensions):
        raise InvalidArgument("group_by", "names a dimension twice. Give each once.")
    return dimensions


def read_filters(given: Sequence[str]) -> tuple[Filter, ...]:
    """The filters, one for each dimension, ordered by its name. Each parameter is `dimension=value` or empty. Raises InvalidArgument."""
    if len(given) > MOST_FILTERS:
        raise InvalidArgument("filter", f"use at most {MOST_FILTERS}.")
    values: dict[Dimension, set[str]] = {}
    for text in filter(None, given):
        match = _FILTER.fullmatch(text)
        if match is None:
            raise InvalidArgument("filter", f"write it as dimension=value. Dimensions: {ACCEPTED}.")
        value = match[2]
        if len(value) > KEY_LENGTH:
            raise InvalidArgument("filter", f"a value has at most {KEY_LENGTH} characters.")
        values.setdefault(_dimension("filter", match[1]), set()).add(value)
    found = [Filter(dimension=dimension, values=tuple(sorted(those))) for dimension, those in values.items()]
    return tuple(sorted(found, key=lambda one: one.dimension.name))


def _listed(text: str) -> Iterator[str]:
    position = 0
    while position < len(text):
        match = _LISTED.match(text, position)
        if match is None or not match[1]:
            raise InvalidArgument("group_by", f"write dimensions with commas between them: {ACCEPTED}.")
        yield match[1]
        position = match.end()
    if not text.strip() or text.rstrip().endswith(","):
        raise InvalidArgument("group_by", f"an empty name is no dimension. Use {ACCEPTED}.")


def _dimension(field: str, name: str) -> Dimension:
    if name in COLUMNS:
        return Dimension(column=COLUMNS[name], name=name)
    if not name.startswith(TAG):
        raise InvalidArgument(field, f"{name[:64]!r} is no dimension. Use {ACCEPTED}.")
    key = name.removeprefix(TAG)
    if key.startswith('"'):
        try:
            key = json.loads(key)
        except ValueError as error:
            raise InvalidArgument(field, f"{name[:64]!r}: a quoted key is a JSON string.") from error
    if not 0 < len(key) <= KEY_LENGTH or not key.isprintable():
        raise InvalidArgument(field, f"a tag's key has 1 to {KEY_LENGTH} printable characters: {TAG}team.")
    return Dimension(column=None, key=key, name=f"{TAG}{key}")
