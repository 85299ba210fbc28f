"""Calls that wait for BigQuery go side by side, and fail as they would one after the other."""

import threading

import pytest

from services.executor.sources.gcp.at_once import each


def test_all_wait_together_and_the_answers_have_the_order_of_the_keys() -> None:
    together = threading.Barrier(3)

    def call(key: str) -> str:
        together.wait(timeout=10)
        return key.upper()

    assert list(each(["c", "a", "b", "a"], call).items()) == [("c", "C"), ("a", "A"), ("b", "B")]
    assert each([], call) == {}


def test_the_first_error_in_order_is_raised_once_all_have_ended() -> None:
    ended = list[str]()

    def call(key: str) -> str:
        if key == "a":
            raise ValueError(key)
        ended.append(key)
        raise TypeError(key)

    with pytest.raises(ValueError, match="a"):
        each(["a", "b"], call)
    assert ended == ["b"]
