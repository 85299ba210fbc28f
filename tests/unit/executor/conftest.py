"""Our templates."""

from tests.support.executor.templates import catalog, configs

__all__ = ["catalog", "configs"]
