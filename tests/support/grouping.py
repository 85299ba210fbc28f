"""Which tests share a worker: those that need the same stack, so that each stack starts once; else those of a file, which share statements
that its emulator has seen before.

xdist's own way to say so, the mark `xdist_group`, does nothing with pytest 9.2 (pytest-dev/pytest-xdist#1386): groups are dealt out test by
test, and every stack starts in every worker. So the groups stand here, by file, and the scheduler reads them from the node ids.
"""

import pytest
from xdist.scheduler import LoadScopeScheduling

GROUPS: dict[str, str] = {
    "tests/system/load/": "load",
    "tests/system/outages/": "outages",
    "tests/system/suite/": "suite",
    "tests/integration/exports/": "files",
    "tests/integration/focus/test_validator_exports.py": "files",
    "tests/integration/executor/sources/azure/": "files",
    "tests/integration/executor/sources/test_gcp_federation.py": "files",
    "tests/integration/executor/sources/test_s3_files.py": "files",
    "tests/integration/executor/sources/test_sources.py": "files",
    "tests/integration/clouds/": "files",
    "tests/integration/localcloud/test_sample_aws.py": "files",
    "tests/integration/sql/": "zetasql",
    "tests/integration/gateway/": "gateway",
    "tests/integration/localcloud/test_emulators.py": "emulators",
    "tests/integration/localcloud/test_sample.py": "emulators",
    "tests/integration/localcloud/test_bigquery_tables.py": "emulators",
    "tests/integration/localcloud/test_bigquery_streams.py": "emulators",
}
"""The beginning of a node id to its group, the most expensive first: started last, it would keep one worker busy while the other idles. Of
two that fit, the one that stands first counts. `files` are of S3 and Blob Storage, which have emulators of their own.
"""
_RANKS = {group: rank for rank, group in enumerate(dict.fromkeys(GROUPS.values()))}


def group_of(nodeid: str) -> str | None:
    """The group of a test; None: it may run anywhere."""
    return next((group for beginning, group in GROUPS.items() if nodeid.startswith(beginning)), None)


def heaviest_first(items: list[pytest.Item]) -> None:
    """Sorts a collection as the groups stand, what has none behind them; else in the order it had."""
    items.sort(key=lambda item: _RANKS.get(group_of(item.nodeid) or "", len(_RANKS)))


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # untyped upstream
    """Deals out whole groups, and files that have none, in the order of the collection."""

    def __init__(self, config: pytest.Config, log: object = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid) or nodeid.partition("::")[0]
