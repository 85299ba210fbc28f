"""Stacked bars of text: a line for each period, a pattern and a colour for each group, so that they differ without colours, too.
Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from convergence.cli.output.printable import one_line
from rich.text import Text

_PATTERNS = "█▓▒░▞▚▤▥▦▧"
_STYLES = ("blue", "green", "magenta", "cyan", "yellow", "red", "bright_blue", "bright_green", "bright_magenta", "bright_cyan")
SERIES = len(_PATTERNS)
"""More groups than this look alike."""
_NARROWEST = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One group: a value for each period, 0 where it has none. What is below 0, such as a credit, is not drawn."""

    name: str
    values: Sequence[float]


def stacked(periods: Sequence[str], series: Sequence[Series], *, width: int) -> list[Text]:
    """A line for each period, `width` characters wide at most, with the sum of the period behind it; then the legend."""
    totals = [sum(one.values[place] for one in series) for place in range(len(periods))]
    names = [one_line(period) for period in periods]
    labels = [f"{total:,.2f}" for total in totals]
    widest = max(map(len, names))
    room = max(width - widest - max(map(len, labels)) - 4, _NARROWEST)
    longest = max((sum(max(one.values[place], 0.0) for one in series) for place in range(len(periods))), default=0.0)
    lines = []
    for place, name in enumerate(names):
        bar = _bar([one.values[place] for one in series], room / longest if longest else 0.0)
        lines.append(Text(f"{name.ljust(widest)}  ") + bar + Text(f"  {labels[place]}"))
    legend = Text("  ").join(
        Text(_PATTERNS[number % SERIES], style=_STYLES[number % SERIES]) + Text(f" {one_line(one.name)}")
        for number, one in enumerate(series)
    )
    return [*lines, Text(""), legend]


def _bar(values: Sequence[float], scale: float) -> Text:
    """Lengths are rounded at the ends of the parts, so that the rounding of many small ones does not add up."""
    bar, total = Text(), 0.0
    for number, value in enumerate(values):
        begin = round(total * scale)
        total += max(value, 0.0)
        bar.append(_PATTERNS[number % SERIES] * (round(total * scale) - begin), style=_STYLES[number % SERIES])
    return bar
