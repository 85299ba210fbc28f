"""Makes calls by the name of their RPC, and keeps the first good call of each, with its last answer if it is repeated, and the first
refusal for each reason.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from localcloud.rest import Answer, Rest
from tests.support.api.conformance import rpcs
from tools.openapi.examples import Example

type Ask = Callable[..., Answer]
"""`Recorded.call`, for calls whose path is given as `**`."""


@dataclass(kw_only=True, slots=True)
class Recorded:
    """The recorded calls and errors."""

    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By the RPC's name: the fields of `Example`."""
    errors: dict[str, Any] = field(default_factory=dict)
    """Bodies, by reason."""
    names: dict[str, str] = field(default_factory=dict)
    """Replacements for ids in the examples, e.g. `acme_corp` for the tenant's."""

    def call(
        self,
        rest: Rest,
        name: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        **path: str,
    ) -> Answer:
        """Calls an RPC. `path`: the values in its path; `headers` besides the keys, which `rest` has."""
        rpc = rpcs()[name]
        url = rpc.template.format(**{field: quote(value, safe="") for field, value in path.items()})
        url += f"?{urlencode(query)}" if query else ""
        if rpc.body and body is None:
            body = {}
        answer = rest.but(**headers or {}).call(rpc.verb.upper(), url, body)
        if answer.status == 200:
            made = Example(path=dict(path), query=dict(query or {}), headers=dict(headers or {}), body=body, answer=answer.body)
            known = self.calls.setdefault(name, asdict(made))
            if {**known, "answer": answer.body} == asdict(made):
                self.calls[name] = asdict(made)
        else:
            self.refused(answer.body)
        return answer

    def refused(self, body: Any) -> None:
        """Keeps an error."""
        reason = next(detail["reason"] for detail in body["details"] if "reason" in detail)
        self.errors.setdefault(reason, body)
