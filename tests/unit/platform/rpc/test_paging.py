"""The position of a page as servicers write it, and as callers see it: signed, short, and good for the same question only."""

from datetime import UTC, datetime
from typing import Any

import pytest
from convergence.auth.v1 import usage_service_pb2 as usage
from convergence.executor.v1 import pipeline_service_pb2 as messages
from hypothesis import given
from hypothesis import strategies as st

from services.platform.errors import InvalidArgument
from services.platform.rpc.calls import Call, Rpc
from services.platform.rpc.page_tokens import MAX_TOKEN, PageTokens, page_tokens, question_of
from services.platform.rpc.paging import from_key_token, from_token, page_size, to_key_token, to_token
from services.platform.settings import ServiceSettings

OLD, NEW = "o" * 32, "n" * 32
PATH = "/convergence.executor.v1.PipelineService/ListRuns"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.datetimes(timezones=st.just(UTC)), TEXTS)
def test_a_position_comes_back(moment: datetime, identity: str) -> None:
    assert from_token(to_token(moment, identity)) == (moment, identity)
    assert from_key_token(to_key_token(identity)) == identity


@given(st.text(min_size=1) | st.sampled_from(["[" * 100_000, '["a", "b"]', '["2025-01-01T00:00:00", "b"]', "[1]", '["a", 1]', "{}"]))
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="page_token"):
        from_token(text)


def test_pages_have_a_size() -> None:
    assert [page_size(0), page_size(200)] == [50, 200]
    for bad in (-1, 201):
        with pytest.raises(InvalidArgument, match="page_size"):
            page_size(bad)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80), st.binary(max_size=40))
def test_a_sealed_position_is_opened_by_the_same_question(position: str, question: bytes) -> None:
    tokens = PageTokens([b"k" * 32])
    token = tokens.seal(position, question)
    assert len(token) <= MAX_TOKEN
    assert tokens.open(token, question) == position
    with pytest.raises(InvalidArgument, match="page_token"):
        tokens.open(token, question + b"x")
    with pytest.raises(InvalidArgument, match="page_token"):
        PageTokens([b"q" * 32]).open(token, question)


@given(st.data())
def test_an_altered_token_is_refused(data: st.DataObject) -> None:
    tokens = PageTokens([b"k" * 32])
    token = tokens.seal(to_token(datetime(2025, 1, 1, tzinfo=UTC), "0f5ff0a6"), b"")
    place = data.draw(st.integers(0, len(token)))
    put = data.draw(st.text(max_size=3))
    altered = token[:place] + put + token[place + data.draw(st.integers(0, 3)) :]
    # The last character of base64 has bits that say nothing.
    if altered.rstrip("=")[:-1] != token[:-1]:
        with pytest.raises(InvalidArgument, match="page_token"):
            tokens.open(altered, b"")


@given(st.text() | st.sampled_from(["A" * 1_000_000, "é", "=", "A" * 512]))
def test_a_text_that_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="page_token"):
        PageTokens([b"k" * 32]).open(text, b"")


def test_a_secret_is_rotated_by_putting_a_new_one_in_front() -> None:
    old, both, new = (ServiceSettings(token_secrets=secrets).keys_for("page tokens") for secrets in ((OLD,), (NEW, OLD), (NEW,)))
    assert PageTokens(both).open(PageTokens(old).seal("p", b""), b"") == "p"
    assert PageTokens(new).open(PageTokens(both).seal("p", b""), b"") == "p"
    with pytest.raises(InvalidArgument):
        PageTokens(new).open(PageTokens(old).seal("p", b""), b"")
    assert set(new).isdisjoint(ServiceSettings(token_secrets=(NEW,)).keys_for("session tokens"))


async def paged(settings: ServiceSettings, request: Any, position: str) -> tuple[str, str]:
    """The position that a servicer gets, and the token in its answer with `position`."""

    async def answered(call: Call) -> messages.ListRunsResponse:
        answer = messages.ListRunsResponse(next_page_token=position)
        for touch in call.before_answer:
            touch(answer)
        return answer

    context: Any = None
    call = Call(request=request, context=context, metadata={})
    answer = await page_tokens(settings)(Rpc.of(PATH), answered)(call)
    return request.page_token, answer.next_page_token


def asked(**fields: Any) -> Any:
    return messages.ListRunsRequest(**{"tenant_id": "acme", "status": "FAILED", **fields})


async def test_a_servicer_reads_its_own_positions_whatever_process_wrote_them() -> None:
    settings = ServiceSettings(token_secrets=(OLD,))
    position, token = await paged(settings, asked(page_size=2), "the second page")
    assert (position, token != "the second page") == ("", True)
    assert await paged(settings, asked(page_size=7, page_token=token), "") == ("the second page", "")


@pytest.mark.parametrize("other", [{"tenant_id": "another"}, {"status": ""}, {"status": "COMPLETED"}, {"date": "2025-01-01"}])
async def test_a_token_of_another_tenant_or_filter_is_refused(other: dict[str, str]) -> None:
    settings = ServiceSettings(token_secrets=(OLD,))
    _, token = await paged(settings, asked(), "second")
    with pytest.raises(InvalidArgument, match="page_token"):
        await paged(settings, asked(**other, page_token=token), "")


async def test_without_a_secret_a_token_is_good_in_its_own_process() -> None:
    """So that a single replica works, and no token of another installation does."""
    _, token = await paged(ServiceSettings(), asked(), "second")
    with pytest.raises(InvalidArgument, match="page_token"):
        await paged(ServiceSettings(), asked(page_token=token), "")


def test_two_rpcs_are_two_questions() -> None:
    request = usage.ListUsageRequest()
    assert question_of("/a/B", request) != question_of("/a/C", request)
