"""Examples: requests and answers of a live gateway, as `make api-examples` has written them into docs/api/examples."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from tools.openapi.protos import ROOT

EXAMPLES: Final = ROOT / "docs" / "api" / "examples"
ERRORS: Final = "errors.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One call."""

    path: dict[str, str] = field(default_factory=dict)
    """The values of the path's parameters."""
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    """Without keys."""
    body: Any = None
    """None: without a body."""
    answer: Any
    """JSON; of a stream its text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Examples:
    """All that are known."""

    calls: dict[str, Example]
    """By the name of the RPC."""
    errors: dict[str, Any]
    """Bodies, by reason."""

    @classmethod
    def read(cls, folder: Path = EXAMPLES) -> Self:
        """Reads the files: one for each package, and one of errors."""
        calls, errors = dict[str, Example](), {}
        for path in sorted(folder.glob("*.json")):
            found = json.loads(path.read_text())
            if path.name == ERRORS:
                errors = found
            else:
                calls |= {name: Example(**call) for name, call in found.items()}
        return cls(calls=calls, errors=errors)
