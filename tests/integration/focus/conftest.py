"""A tenant whose pipelines run on the emulator, as in the executor's own tests."""

from tests.integration.executor.conftest import begin, begin_whole, catalog, private_key, project, room, store, tenant, tools

__all__ = ["begin", "begin_whole", "catalog", "private_key", "project", "room", "store", "tenant", "tools"]
