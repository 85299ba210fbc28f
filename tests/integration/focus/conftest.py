"""A tenant whose pipelines run on the emulator, as in the executor's own tests."""

from tests.integration.executor.conftest import begin, catalog, private_key, project, room, store, tenant, tools

__all__ = ["begin", "catalog", "private_key", "project", "room", "store", "tenant", "tools"]
