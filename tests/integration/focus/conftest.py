"""A tenant whose pipelines run on the emulator, as the executor's own tests have it."""

from tests.integration.executor.conftest import begin, catalog, private_key, project, room, store, tenant, tools

__all__ = ["begin", "catalog", "private_key", "project", "room", "store", "tenant", "tools"]
