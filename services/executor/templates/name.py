"""A pipeline's name, in its three spellings."""

import re
from dataclasses import dataclass
from typing import Self

SEGMENT = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""A segment of the name; without hyphens, so that `gcp-cost-billing` can be parsed."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class PipelineName:
    """The name of a template: `configs/{provider}/{domain}/{template}.yml`."""

    provider: str
    """Lower-case, e.g. gcp."""
    domain: str
    template: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parses `gcp/cost/billing` or `gcp-cost-billing`; the provider in either case. None for anything else."""
        parts = text.split("/") if "/" in text else text.split("-")
        return cls.of(*parts) if len(parts) == 3 else None  # noqa: PLR2004 - provider, domain and template

    @classmethod
    def of(cls, provider: str, domain: str, template: str) -> Self | None:
        """The name with these three segments; None if one of them is invalid."""
        provider = provider.lower()
        if not all(SEGMENT.fullmatch(part) for part in (provider, domain, template)):
            return None
        return cls(provider=provider, domain=domain, template=template)

    @property
    def credentials_provider(self) -> str:
        """`GCP`, as in the credentials service and x_meta_step_logs."""
        return self.provider.upper()

    @property
    def path(self) -> str:
        """`gcp/cost/billing`."""
        return f"{self.provider}/{self.domain}/{self.template}"

    @property
    def hyphenated(self) -> str:
        """`gcp-cost-billing`, as in the scheduler's tables."""
        return f"{self.provider}-{self.domain}-{self.template}"

    def pipeline_id(self, tenant_id: str) -> str:
        """`{tenant_id}-gcp-cost-billing`, as in x_meta_pipeline_runs."""
        return f"{tenant_id}-{self.hyphenated}"
