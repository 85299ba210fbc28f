"""The probes' promise: no tenant can have one, and which patterns over a tenant's id they find."""

from fnmatch import fnmatchcase
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from services.clouds.access import AccessRefused, TokenOf
from services.clouds.attempt import CLOSED, refuses_others
from services.clouds.findings import Finding, FindingStatus
from services.clouds.probes import MAX_SUBJECT, MAX_TENANT_ID, probe_subjects
from services.platform.identifiers import TENANT_ID

LONGEST = "a" + "b_1" * 21
TENANTS = st.one_of(st.from_regex(TENANT_ID, fullmatch=True), st.integers(3, 64).map(lambda length: LONGEST[:length]))


@st.composite
def patterns(draw: st.DrawFn) -> tuple[str, str]:
    """A tenant's id, and a pattern that matches it: each part of the id stays, or `*` replaces it, or a `?` each of its characters."""
    tenant_id = draw(TENANTS)
    cuts = sorted(draw(st.sets(st.integers(0, len(tenant_id)), max_size=6)) | {0, len(tenant_id)})
    parts = [tenant_id[begin:end] for begin, end in pairwise(cuts)]
    kept = (draw(st.sampled_from([part, part, "*", "?" * len(part), f"{part}*", f"*{part}"])) for part in parts)
    return tenant_id, "".join(kept)


def found(tenant_id: str, pattern: str) -> list[str]:
    return [subject for subject in probe_subjects(tenant_id) if fnmatchcase(subject, pattern)]


@given(TENANTS)
@example("abc")
@example(LONGEST)
def test_no_tenant_can_have_a_probe_s_subject_and_every_cloud_takes_it(tenant_id: str) -> None:
    subjects = probe_subjects(tenant_id)
    assert len(set(subjects)) == len(subjects) == 4
    assert not [subject for subject in subjects if TENANT_ID.fullmatch(subject)]
    assert not [subject for subject in subjects if len(subject) > MAX_SUBJECT]


@given(patterns())
@example((LONGEST, f"{LONGEST[:63]}*"))
@example((LONGEST, f"*{LONGEST[-1]}*"))
@example((LONGEST, f"{LONGEST[:31]}*{LONGEST[33:]}"))
def test_a_pattern_that_lets_in_another_tenant_lets_in_a_probe(one: tuple[str, str]) -> None:
    tenant_id, pattern = one
    assert fnmatchcase(tenant_id, pattern)
    # With so many other characters a tenant's id has none left for the `*`.
    is_star = "*" in pattern and len(pattern.replace("*", "")) < MAX_TENANT_ID
    assume(is_star or pattern.strip("*").startswith("?") or pattern.strip("*").endswith("?"))
    assert found(tenant_id, pattern)


@given(TENANTS, st.data())
def test_what_begins_ends_or_lies_in_the_id_is_in_one_probe(tenant_id: str, data: st.DataObject) -> None:
    """startsWith, endsWith, contains, and a regular expression that allows the characters of ids alone."""
    begin = data.draw(st.integers(0, len(tenant_id) - 1))
    end = data.draw(st.integers(begin + 1, len(tenant_id)))
    resembling = probe_subjects(tenant_id)[1]
    assert resembling.startswith(tenant_id[: min(end, 63)])
    assert resembling.endswith(tenant_id[max(begin, len(tenant_id) - 63) :])
    assert tenant_id[begin : min(end, begin + 63)] in resembling
    assert set(resembling) <= {*tenant_id, *"_convergence_probe_"}


@pytest.mark.parametrize("pattern", ["ac?e_corp", "acme?corp", "a??????rp", "acme_corp"])
def test_what_is_not_found(pattern: str) -> None:
    """One character in an inner place, without any `*`; so also lists of exact subjects."""
    assert found("acme_corp", pattern) == []


def test_a_token_that_could_not_be_made_is_no_refusal_by_the_cloud() -> None:
    def no_token(_: str) -> str:
        raise AccessRefused("Nothing signs.")

    tried = refuses_others("Trust policy", {"one": no_token}, lambda token_of: token_of("audience"), lambda subject: subject)
    with pytest.raises(AccessRefused) as refused:
        next(tried)
    assert refused.value.is_retryable


def test_it_ends_with_the_first_that_is_let_in_and_can_be_cancelled_between_two() -> None:
    asked = list[str]()

    def come_in(token_of: TokenOf) -> None:
        asked.append(token_of("audience"))
        if asked[-1] != "two":
            raise AccessRefused("Not you.")

    def probes(*subjects: str) -> dict[str, TokenOf]:
        return {subject: partial(lambda subject, _: subject, subject) for subject in subjects}

    opened = list(refuses_others("Trust policy", probes("one", "two", "three"), come_in, lambda subject: f"{subject} came in."))
    assert opened == [None, Finding(name="Trust policy", status=FindingStatus.OPEN, message="two came in.")]
    assert asked == ["one", "two"]
    closed = list(refuses_others("Trust policy", probes("one", "four"), come_in, str))
    assert closed == [None, None, Finding(name="Trust policy", status=FindingStatus.OK, message=CLOSED)]
