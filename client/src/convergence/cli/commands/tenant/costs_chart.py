"""Costs as bars: by period, stacked by group, or, of one period, a bar for each group."""

from collections.abc import Sequence

from convergence.cli.output.bars import Series, stacked
from convergence.cli.output.printer import Printer
from convergence.executor.v1 import cost_pb2

_WIDEST = 120


def show(printer: Printer, costs: Sequence[cost_pb2.Cost], *, title: str) -> None:
    """Prints a chart for each currency."""
    for currency in dict.fromkeys(cost.currency for cost in costs):
        periods, series = series_of([cost for cost in costs if cost.currency == currency])
        printer.part(f"{title}, {currency}", style="bold")
        for line in stacked(periods, series, width=min(printer.out.width, _WIDEST)):
            printer.drawing(line)


def series_of(costs: Sequence[cost_pb2.Cost]) -> tuple[list[str], list[Series]]:
    """The periods and what is stacked in each; of costs without periods each group is a bar of its own. Pure."""
    if not any(cost.period for cost in costs):
        return [_name(cost) for cost in costs], [Series(name="cost", values=[float(cost.cost) for cost in costs])]
    periods = sorted({cost.period for cost in costs})
    found: dict[str, dict[str, float]] = {}
    for cost in costs:
        # Amounts become floats to be drawn only.
        values = found.setdefault(_name(cost), {})
        values[cost.period] = values.get(cost.period, 0.0) + float(cost.cost)
    return periods, [Series(name=name, values=[values.get(period, 0.0) for period in periods]) for name, values in found.items()]


def _name(cost: cost_pb2.Cost) -> str:
    return "others" if cost.is_rest else " / ".join(value or "(none)" for value in cost.group.values()) or "cost"
