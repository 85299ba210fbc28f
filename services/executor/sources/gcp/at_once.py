"""Several calls at once, each of which waits for BigQuery: what does not depend on each other does not wait for each other."""

from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context


def each[Key: Hashable, Answer](keys: Iterable[Key], call: Callable[[Key], Answer]) -> dict[Key, Answer]:
    """What `call` returns for each key, in order. Raises the error of the first key that has one, once all calls have ended."""
    wanted = list(dict.fromkeys(keys))
    if len(wanted) <= 1:
        return {key: call(key) for key in wanted}
    with ThreadPoolExecutor(len(wanted), thread_name_prefix="at-once") as pool:
        asked = {key: pool.submit(copy_context().run, call, key) for key in wanted}
    return {key: answer.result() for key, answer in asked.items()}
