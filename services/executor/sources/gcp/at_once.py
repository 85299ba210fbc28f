"""Several concurrent calls to BigQuery: calls that do not depend on each other do not wait for each other."""

from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context


def each[Key: Hashable, Answer](
    keys: Iterable[Key], call: Callable[[Key], Answer], *, beside: Callable[[], object] | None = None
) -> dict[Key, Answer]:
    """What `call` returns for each key, in order. Once all calls have ended, `beside` included, raises the error of the first key that has
    one. The result of `beside` does not matter.
    """
    wanted = list(dict.fromkeys(keys))
    if len(wanted) <= 1 and beside is None:
        return {key: call(key) for key in wanted}
    with ThreadPoolExecutor(len(wanted) + 1, thread_name_prefix="at-once") as pool:
        asked = {key: pool.submit(copy_context().run, call, key) for key in wanted}
        if beside is not None:
            pool.submit(copy_context().run, beside)
    return {key: answer.result() for key, answer in asked.items()}
