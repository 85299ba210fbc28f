"""The page: its calls, side by side, and what they come to."""

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from console.gateway.api import Api, Json
from console.gateway.attempt import attempt
from console.gateway.errors import GatewayError
from console.screens.costs.figures import Chart, amount_in, chart_of, credits_in, currency_of, moved, periods_of, states_of
from console.screens.costs.question import GROUPS, METRICS, Question, question_of, ranges_of
from console.web.pages import utc_now
from console.web.screen import Visit

COSTS = "/api/v1/tenants/{tenant_id}/costs"
MAX_PAGES = 30
"""A year by day has some 3,000 rows; 200 come at once."""
LONGEST_DAYS = 400
"""So many days ListCostDays takes."""
MAX_CHANGE_PAGES = 5


async def show_costs(visit: Visit) -> Response:
    """Costs of a range, by period and group. What has moved comes after the page, which need not wait for it."""
    question = question_of(visit.query, utc_now().date())
    if not visit.session.may("costs:read"):
        return visit.page("costs/no_scope.html", status=403)
    (costs, answer), kinds, at_list, days = await asyncio.gather(
        _pages(visit.api, "", question.costs, "costs", MAX_PAGES),
        visit.api.get(COSTS, query=question.kinds),
        visit.api.get(COSTS, query=question.at_list_price),
        _days(visit.api, question),
    )
    currency = currency_of(answer["totals"], question.currency)
    periods = periods_of(question.start, question.end, question.granularity)
    chart = chart_of(costs, currency=currency, group=question.group, periods=periods)
    states = states_of(days, periods, answer["days"]["holes"])
    return visit.page(
        "costs/costs.html",
        question=question,
        currency=currency,
        currencies=sorted(one["currency"] for one in answer["totals"]),
        chart=chart,
        drawn=chart.drawn(states),
        states=states,
        total=amount_in(answer["totals"], currency),
        at_list=amount_in(at_list["totals"], currency),
        credited=credits_in(kinds["costs"], currency),
        days=answer["days"],
        changes_address=question.address("/costs/changes", currency=currency),
        ranges=ranges_of(utc_now().date()),
        groups=GROUPS,
        metrics=METRICS,
        **_choices(question, chart),
    )


async def show_changes(visit: Visit) -> Response:
    """What has moved, in the currency that is asked for: a part of the screen, or a page of its own for a browser without JavaScript."""
    question = question_of(visit.query, utc_now().date())
    rows, is_cut, trouble = await _changes(visit.api, question)
    return visit.page(
        "costs/changes_part.html" if visit.is_fragment else "costs/changes.html",
        question=question,
        currency=question.currency,
        moved=moved(rows, question.currency),
        changes_cut=is_cut,
        error=trouble,
        retry_seconds=None,
    )


def _choices(question: Question, chart: Chart) -> dict[str, Any]:
    """What the form and the table link to."""
    key = question.group.removeprefix("tag:") if question.group.startswith("tag:") else ""
    return {
        "tag": key,
        "group_choice": "tag" if key else question.group,
        "drill": {one.name: question.address(filter=f"{question.group}={one.value}") for one in chart.series if one.value is not None},
    }


async def _pages(api: Api, path: str, query: Mapping[str, object], name: str, most: int) -> tuple[list[Json], Json]:
    """The rows of all pages, at most `most`, and the last answer."""
    answer = await api.get(f"{COSTS}{path}", query=query)
    rows = list(answer[name])
    for _ in range(most - 1):
        if not answer["next_page_token"]:
            break
        answer = await api.get(f"{COSTS}{path}", query={**query, "page_token": answer["next_page_token"]})
        rows += answer[name]
    return rows, answer


async def _days(api: Api, question: Question) -> list[Json]:
    """How settled the days are; nothing for a range that is longer than the API tells of at once: the summary is in the costs' answer."""
    if len(periods_of(question.start, question.end, "day")) > LONGEST_DAYS:
        return []
    answer = await api.get(f"{COSTS}/days", query=question.range)
    return list(answer["days"])


async def _changes(api: Api, question: Question) -> tuple[list[Json], bool, GatewayError | None]:
    """What has moved since the day that is asked for, of any days of usage, as a correction is mostly of days before the range that is
    shown; whether there is more; and why it cannot be shown, if it cannot.
    """
    query = {"changed_from": question.since, "page_size": 200}
    found, error = await attempt(_pages(api, "/changes", query, "changes", MAX_CHANGE_PAGES), also_passing=True)
    if found is None:
        return [], False, error
    rows, answer = found
    return rows, bool(answer["next_page_token"]), None
