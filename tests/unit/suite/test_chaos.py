"""Chaos itself: its traps spring where they are set, its links do what they say, and a seed deals the same faults again."""

import random
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import pytest

from services.platform.settings import REPOSITORY
from tests.support.chaos.campaign import dealt
from tests.support.chaos.faults import KINDS, STATEMENTS
from tests.support.chaos.links import Link
from tests.support.chaos.statements import ChaosBigQuery, Moment, Trap
from tests.support.strict_bigquery import Lost
from tests.support.strict_bigquery.request import read

COMPOSED = {"load", "load_staging", *STATEMENTS["publish"]}
RESERVE = read("POST", "/projects/p/queries", b'{"query": "SELECT 1", "labels": {"statement": "reserve"}}')


def test_every_place_for_a_fault_is_a_statement_of_ours() -> None:
    ours = {
        name for path in (REPOSITORY / "services").rglob("*.sql") for name in re.findall(r"^-- name: (\w+)", path.read_text(), re.MULTILINE)
    }
    assert {name for names in STATEMENTS.values() for name in names} <= ours | COMPOSED


def test_a_seed_deals_the_same_faults_and_each_kind_before_any_comes_again() -> None:
    hands = [list(islice(dealt(KINDS, random.Random(3)), 2 * len(KINDS))) for _ in range(2)]
    assert hands[0] == hands[1]
    assert sorted(map(repr, hands[0][: len(KINDS)])) == sorted(map(repr, KINDS))


@pytest.mark.parametrize(("moment", "done"), [(Moment.BEFORE, []), (Moment.AFTER, ["done"])])
def test_a_trap_springs_as_often_as_it_shall(moment: Moment, done: list[str]) -> None:
    bigquery, hit, ran = ChaosBigQuery(upstream=""), list[str](), list[str]()
    bigquery.set_trap(Trap(names=frozenset({"reserve"}), moment=moment, act=hit.append, said=b"half"))
    with pytest.raises(Lost) as lost, bigquery.passing(RESERVE, "auth"):
        ran.append("done")
    with bigquery.passing(RESERVE, "auth"):
        ran.append("later")
    assert (hit, ran, lost.value.said) == (["auth"], [*done, "later"], b"half")
    assert bigquery.statements["reserve"] == 2


def test_a_trap_is_for_others_not_for_who_sets_the_stage() -> None:
    bigquery = ChaosBigQuery(upstream="")
    bigquery.set_trap(Trap(names=frozenset(), moment=Moment.BEFORE))
    with bigquery.passing(RESERVE, ""):
        pass


@contextmanager
def echo() -> Iterator[str]:
    """A server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=_echo, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def _echo(connection: socket.socket) -> None:
    with connection:
        try:
            while piece := connection.recv(1024):
                connection.sendall(piece)
        except OSError:
            return


def said(client: socket.socket) -> bytes:
    client.sendall(b"hello")
    return client.recv(1024)


def test_a_link_holds_corrupts_and_cuts_and_is_healed() -> None:
    with echo() as upstream, Link(upstreams=["127.0.0.1:1", upstream]).serving() as link:
        with socket.create_connection(("127.0.0.1", link.port), 5) as client:
            assert said(client) == b"hello", "a replica that is down is passed over"
            link.corrupt = True
            changed = said(client)
            assert (len(changed), sum(one != other for one, other in zip(changed, b"hello", strict=True))) == (5, 1)
            link.heal()
            link.hold()
            client.settimeout(0.1)
            with pytest.raises(TimeoutError):
                said(client)
            link.heal()
            client.settimeout(5)
            assert client.recv(1024) == b"hello"
            link.cut()
            assert client.recv(1024) == b""
        with socket.create_connection(("127.0.0.1", link.port), 5) as client:
            assert said(client) == b"hello"
