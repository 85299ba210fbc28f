"""A chain shows every change, removal, insertion and exchange of entries; the encoding is the documented one."""

import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from services.auth.audit.__main__ import main
from services.auth.audit.chain import Head, extend, hash_of
from services.auth.audit.verify import NotAnEntryError, read_entries, verify
from services.auth.servicers.audit import _to_proto
from services.platform.audit.entry import AuditEntry
from services.platform.settings import REPOSITORY

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
type Entries = list[dict[str, Any]]

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FIELDS = st.fixed_dictionaries(
    {
        **dict.fromkeys(("action", "outcome", "resource", "actor_kind", "actor_id", "actor_role", "user_id", "request_id"), TEXT),
        "client_address": TEXT,
        "count": st.integers(1, 2**31 - 1),
        "time": st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - as Hypothesis wants them
    }
)


def chained(several: list[dict[str, Any]], chain: str = "acme_corp") -> Entries:
    entries = [asdict(AuditEntry(entry_id=str(uuid.uuid4()), chain=chain, **one)) for one in several]
    return extend(Head(chain=chain), entries, NOON)[1]


def problem(entries: Entries, *expected: Head) -> str | None:
    [verdict] = verify(entries, expected)
    return verdict.problem


@given(st.lists(FIELDS, min_size=1, max_size=8))
def test_what_was_chained_is_intact_in_any_order_and_from_any_point_on(several: list[dict[str, Any]]) -> None:
    entries = chained(several)
    assert problem(entries) is None
    assert problem(entries[::-1]) is None
    [rest] = verify(entries[len(entries) // 2 :])
    assert (rest.problem, rest.first_seq, rest.head.hash) == (None, len(entries) // 2 + 1, entries[-1]["hash"])


CHANGED: dict[str, Callable[[Any], Any]] = {
    "count": lambda value: value + 1,
    "time": lambda value: value + timedelta(microseconds=1),
    "appended_at": lambda value: value - timedelta(microseconds=1),
    "prev_hash": lambda value: hashlib.sha256(value.encode()).hexdigest(),
}


@given(st.lists(FIELDS, min_size=2, max_size=8), st.data())
def test_every_change_of_any_field_is_detected(several: list[dict[str, Any]], data: st.DataObject) -> None:
    entries = chained(several)
    place, name = data.draw(st.integers(0, len(entries) - 1)), data.draw(st.sampled_from(sorted(entries[0].keys() - {"chain", "seq"})))
    changed = CHANGED.get(name, lambda value: value + data.draw(TEXT.filter(bool)))
    entries[place] = {**entries[place], name: changed(entries[place][name])}
    assert problem(entries) is not None


@given(st.lists(FIELDS, min_size=2, max_size=8), st.data())
def test_a_change_is_detected_even_if_its_own_hash_was_made_anew(several: list[dict[str, Any]], data: st.DataObject) -> None:
    """By the next entry; of the last one, and of a whole chain that was made anew, by an entry that is known from elsewhere."""
    entries = chained(several)
    head = Head(chain="acme_corp", seq=len(entries), hash=entries[-1]["hash"])
    place = data.draw(st.integers(0, len(entries) - 1))
    forged = {**entries[place], "outcome": entries[place]["outcome"] + "x"}
    forged["hash"] = hash_of(forged)
    tampered = [*entries[:place], forged, *entries[place + 1 :]]
    if place < len(entries) - 1:
        assert problem(tampered) == f"entry {place + 2} does not follow entry {place + 1}: its prev_hash is not that entry's hash"
    assert problem(tampered, head) is not None
    anew = extend(Head(chain="acme_corp"), [{**one, "outcome": one["outcome"] + "x"} for one in entries], NOON)[1]
    assert (problem(anew), problem(anew, head) is not None) == (None, True)


@given(st.lists(FIELDS, min_size=3, max_size=8), st.data())
def test_removal_insertion_and_exchange_are_detected(several: list[dict[str, Any]], data: st.DataObject) -> None:
    entries = chained(several)
    place = data.draw(st.integers(1, len(entries) - 2))
    removed = [*entries[:place], *entries[place + 1 :]]
    assert problem(removed) == f"entries {place + 1} to {place + 1} are missing"
    renumbered = [{**one, "seq": number} for number, one in enumerate(removed, 1)]
    assert problem(renumbered) is not None
    assert problem([*entries, entries[place]]) == f"entry {place + 1} is there twice"
    new = {**entries[place], "seq": place + 1, "entry_id": "forged"}
    new["hash"] = hash_of(new)
    moved = [{**one, "seq": one["seq"] + 1} for one in entries[place:]]
    assert problem([*entries[:place], new, *moved]) is not None
    first, second = entries[place - 1], entries[place]
    exchanged = [{**second, "seq": first["seq"]}, {**first, "seq": second["seq"]}]
    assert problem([*entries[: place - 1], *exchanged, *entries[place + 1 :]]) is not None
    other = chained(several, chain="globex")
    smuggled = [*entries[:place], {**other[place], "chain": "acme_corp"}, *entries[place + 1 :]]
    assert problem(smuggled) is not None
    head = Head(chain="acme_corp", seq=len(entries), hash=entries[-1]["hash"])
    assert (problem(entries[:-1]), problem(entries[:-1], head)) == (
        None,
        f"entry {head.seq} is missing, or has another hash than the expected {head.hash}",
    )


def test_the_last_deleted_entry_is_the_anchor_of_what_is_kept() -> None:
    """So a beginning that was deleted after its time is distinguished from one that was replaced. What is older cannot be expected."""
    entries = chained([{"action": "RunPipeline", "outcome": "OK", "time": NOON}] * 4)
    kept, anchor = entries[2:], Head(chain="acme_corp", seq=2, hash=entries[1]["hash"])
    assert problem(kept, anchor) is None
    forged = Head(chain="acme_corp", seq=2, hash="00")
    assert problem(kept, forged) == "entry 2 is missing, or has another hash than the expected 00"
    oldest = Head(chain="acme_corp", seq=1, hash=entries[0]["hash"])
    assert problem(kept, oldest) == "entry 1 is older than those given; the oldest that can be expected of them is entry 2"


def test_a_first_entry_has_nothing_before_it() -> None:
    [entry] = chained([{"action": "RunPipeline", "outcome": "OK", "time": NOON}])
    entry["prev_hash"] = "00"
    entry["hash"] = hash_of(entry)
    assert problem([entry]) == "entry 1 cannot be the first of a chain"


@given(FIELDS)
def test_an_entry_has_the_same_hash_as_the_api_and_as_bigquery_write_it(fields: dict[str, Any]) -> None:
    [entry] = chained([fields])
    page = {
        "entries": [
            json_format.MessageToDict(_to_proto(entry), preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        ]
    }
    row = {("entry_hash" if name == "hash" else name): value or None for name, value in entry.items()}
    times = {name: f"{entry[name]:%Y-%m-%d %H:%M:%S.%f} UTC" for name in ("time", "appended_at")}
    exported = {**row, **times, "seq": str(entry["seq"])}
    for line in (json.dumps(page), json.dumps(exported)):
        [verdict] = verify(read_entries(["", line]))
        assert (verdict.problem, verdict.head.hash) == (None, entry["hash"])


def test_a_time_is_hashed_in_utc() -> None:
    [entry] = chained([{"action": "RunPipeline", "outcome": "OK", "time": NOON}])
    assert hash_of({**entry, "time": NOON.astimezone(timezone(timedelta(hours=5)))}) == entry["hash"]


def test_the_page_s_example_is_true() -> None:
    """docs/audit.md: the hash of the bytes that it shows."""
    page = (REPOSITORY / "docs/audit.md").read_text()
    shown = page.split("```json\n")[1].split("\n```")[0]
    members = json.loads(shown)
    assert json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False) == shown
    digest = hashlib.sha256(shown.encode()).hexdigest()
    assert f"`{digest}`" in page
    [verdict] = verify(read_entries([json.dumps({**members, "hash": digest})]))
    assert (verdict.problem, verdict.chain) == (None, "acme_corp")


@pytest.mark.parametrize(
    "line",
    ["{", "7", "[]", '"entries"', "{}", '{"entries": 7}', '{"entries": [7]}', '{"seq": "x"}', "[" * 100_000],
)
def test_a_line_that_is_no_entry_is_named(line: str) -> None:
    with pytest.raises(NotAnEntryError, match=r"^line 2 is neither"):
        list(read_entries(["", line]))


def test_the_command_says_what_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = chained([{"action": "RunPipeline", "outcome": "OK", "time": NOON, "resource": f"n={place}"} for place in range(4)])
    file = tmp_path / "audit.jsonl"

    def run(kept: Entries, *arguments: str) -> tuple[int, str]:
        file.write_text("\n".join(json.dumps(entry, default=datetime.isoformat) for entry in kept))
        code = main(["verify", str(file), *arguments])
        return code, capsys.readouterr().out.strip()

    head = f"acme_corp:4:{entries[3]['hash']}"
    assert run(entries) == (0, f"acme_corp: intact, 4 entries; ends with {head}")
    assert run(entries[2:], "--head", head) == (
        0,
        f"acme_corp: intact, 2 entries; begins at 3, older entries are not in this file; ends with {head}",
    )
    assert run([entries[0], *entries[2:]]) == (1, "acme_corp: BROKEN: entries 2 to 2 are missing")
    code, said = run(entries[:3], "--head", head)
    assert (code, said.startswith("acme_corp: BROKEN: entry 4 is missing")) == (1, True)
    file.write_text("no entry")
    assert main(["verify", str(file)]) == main(["verify", str(tmp_path / "nowhere")]) == 2
    assert "line 1 is neither" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "\n\n", '{"entries": []}\n'])
def test_a_file_without_entries_is_not_intact(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_text(content)
    assert main(["verify", str(file)]) == 2
    assert "there are no entries" in capsys.readouterr().err
    assert main(["verify", str(file), "--head", "acme_corp:1:00"]) == 1, "the entry that must be there is missing"
