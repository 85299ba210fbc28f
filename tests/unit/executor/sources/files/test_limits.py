"""Names of objects and manifests, as a tenant's files have them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.errors import StepError
from services.executor.sources.files.limits import below, name_of, read_manifest_json

SEGMENTS = st.text(st.characters(categories=("L", "N"), include_characters=" =_-.+()&:"), min_size=1).filter(
    lambda one: one not in {".", ".."}
)


@given(st.lists(SEGMENTS, min_size=1, max_size=4), st.lists(SEGMENTS, min_size=1, max_size=4))
def test_a_key_below_the_prefix_is_taken_as_it_is(prefix: list[str], rest: list[str]) -> None:
    root = "/".join(prefix)
    key = f"{root}/{'/'.join(rest)}"

    assert below(root, key) == below(f"{root}/", key) == key
    with pytest.raises(StepError):
        below(f"{root}x", key)


@pytest.mark.parametrize(
    "key",
    [
        "export",
        "export/",
        "exports/a",
        "other/a",
        "/export/a",
        "export//a",
        "export/./a",
        "export/../a",
        "export/a/..",
        "export/a\\..\\b",
        "export/a\0",
        "export/a\r\nHost: b",
        "export/\u202egnp",
        "export/" + "a" * 1024,
        "",
    ],
)
def test_any_other_key_is_refused_by_its_last_part(key: str) -> None:
    with pytest.raises(StepError, match="does not lie below the export's own location") as caught:
        below("export", key)

    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


def test_without_a_prefix_a_key_still_has_segments() -> None:
    assert below("", "a/b") == "a/b"
    for key in ("/a", "a//b", "../a"):
        with pytest.raises(StepError):
            below("", key)


def test_the_last_segment_is_a_file_s_name() -> None:
    assert name_of("a/b/c.parquet") == "c.parquet"
    assert name_of("a/b\nc") == "b?c"


def test_a_manifest_is_a_json_object() -> None:
    assert read_manifest_json(b'{"a": "\\ud83d\\ude00"}', "m.json", most=100) == {"a": "\U0001f600"}
    assert read_manifest_json(b'\xef\xbb\xbf{"a": [{"b": 1}]}', "m.json", most=100) == {"a": [{"b": 1}]}


def test_the_words_of_an_error_can_be_stored_whatever_a_file_says() -> None:
    assert StepError("No file is called \ud800.").message == str(StepError("No file is called \ud800.")) == "No file is called ?."


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"1",
        b"{",
        b"\xff\xfe",
        b'{"a": ' + b"[" * 33 + b"]" * 33 + b"}",
        b"[" * 100_000,
        json.dumps({"a": "x" * 1_000_000}).encode(),
        b'{"a": ["\\ud800"]}',
        b'{"\\udfff": 1}',
    ],
)
def test_what_is_no_manifest_is_refused_by_its_name(data: bytes) -> None:
    with pytest.raises(StepError, match=r"The manifest m\.json "):
        read_manifest_json(data, "m.json", most=200_000)
