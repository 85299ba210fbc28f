"""The filter that collects a body's field names parses any text as the transcoder does."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.test_body_fields import reported_fields
from tests.integration.gateway.upstream import Upstream

# One Envoy for all of these.
RUN = "/api/v1/pipelines/run/acme/gcp/cost/billing"

letters = st.sampled_from(["a", "z", "_", "é", ",", ":", "{", "}", "[", "]", " ", "\\u0061", "\\u005c", "\\\\", "\\/", "\\q", '\\"', "\\'"])
texts = st.lists(letters, min_size=1, max_size=5).map("".join)
strings = st.builds(lambda quote, text: f"{quote}{text}{quote}", st.sampled_from("\"'"), texts)
space = st.sampled_from(["", "", " ", "\n", "\v"])
keys = st.builds(lambda before, key, after: f"{before}{key}{after}:", space, strings | st.sampled_from(["a", "$b", "_c1", "d_"]), space)


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """The transcoder takes no key twice in a Struct."""
    pairs = st.dictionaries(keys, values, max_size=4)
    return st.builds(lambda one, end: f"{{{','.join(key + value for key, value in one.items())}{end}}}", pairs, space)


def lists(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, max_size=3).map(lambda one: f"[{','.join(one)}]")


scalars = strings | st.sampled_from(["1", "-2.5", "null", "true"])
bodies = objects(st.recursive(scalars, lambda inner: objects(inner) | lists(inner), max_leaves=8))
slips = st.just("") | st.sampled_from("{}[],:\"'\\z ")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=bodies, at=st.integers(0, 30), slip=slips)
async def test_the_filter_reads_as_the_transcoder_does(
    gateway: Gateway, upstreams: dict[str, Upstream], body: str, at: int, slip: str
) -> None:
    """Keys of a Struct arrive, so that the transcoder's own reading of any body that it lets through can be held against ours."""
    upstream = upstreams["executor"]
    upstream.seen.clear()
    answer = await gateway.call("POST", RUN, data=(body[:at] + slip + body[at:]).encode())
    assert answer.status_code in {200, 400}
    for seen in upstream.seen:
        assert set(reported_fields(seen) or [""]) | {""} == set(seen.request.parameters.fields) | {""}
