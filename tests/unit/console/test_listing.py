"""Lists that come in pages, and calls that a page can do without."""

import pytest

from console.gateway.attempt import attempt
from console.gateway.errors import GatewayError
from console.web.listing import address, pages


def test_an_address_names_only_the_filters_that_are_set() -> None:
    assert address("/runs", {"status": "", "date": ""}) == "/runs"
    assert address("/runs", {"status": "FAILED", "pipeline": "gcp/cost/billing"}) == "/runs?status=FAILED&pipeline=gcp%2Fcost%2Fbilling"


def test_a_page_leads_to_the_next_one_and_back_to_the_first_with_its_filters() -> None:
    assert pages("/runs", {"status": "FAILED"}, "", {"next_page_token": "n"}) == {
        "first": "",
        "next": "/runs?status=FAILED&page_token=n",
    }
    assert pages("/runs", {"status": "FAILED"}, "n", {"next_page_token": ""}) == {"first": "/runs?status=FAILED", "next": ""}


@pytest.mark.parametrize(
    ("status", "also_passing", "is_raised"), [(401, True, True), (403, False, False), (503, False, True), (503, True, False)]
)
async def test_a_page_does_without_an_answer_unless_the_whole_page_has_to_begin_anew(
    status: int, also_passing: bool, is_raised: bool
) -> None:
    async def call() -> dict[str, str]:
        raise GatewayError(status=status, reason="SOME_REASON", message="No.")

    if is_raised:
        with pytest.raises(GatewayError):
            await attempt(call(), also_passing=also_passing)
    else:
        answer, error = await attempt(call(), also_passing=also_passing)
        assert answer is None
        assert error is not None
