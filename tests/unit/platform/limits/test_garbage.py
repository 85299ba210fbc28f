"""What a full collection of the garbage collector still looks at."""

import gc

from services.platform.limits.garbage import leave_alone_what_has_started


def test_what_was_there_before_is_left_alone_and_what_comes_later_is_not() -> None:
    before: list[object] = [[]]
    try:
        leave_alone_what_has_started()
        later: list[object] = [[]]
        looked_at = {id(one) for one in gc.get_objects()}
        assert gc.get_freeze_count() > 0
        assert id(before) not in looked_at
        assert id(later) in looked_at
    finally:
        gc.unfreeze()
