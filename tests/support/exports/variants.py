"""Variants of a test: all of them with REPLAY_HOURS, else those that are listed first."""

from collections.abc import Iterable

from tests.support.executor.replay.timeline import EVERY_HOUR


def first_of[T](count: int, variants: Iterable[T]) -> list[T]:
    """The first `count` variants, or all."""
    found = list(variants)
    return found if EVERY_HOUR else found[:count]
