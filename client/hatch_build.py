"""Puts the generated messages into the wheel. `make gen` writes them; an editable install finds them in `gen/`."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

GENERATED = Path(__file__).resolve().parent.parent / "gen" / "convergence"


class GeneratedMessages(BuildHookInterface):
    """Adds `gen/convergence` to a wheel that is to be installed elsewhere. Raises FileNotFoundError if `make gen` has not run."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """`version` is `standard` for a wheel, `editable` for a link to this folder."""
        if version != "standard":
            return
        if not GENERATED.is_dir():
            raise FileNotFoundError(f"{GENERATED} is missing: run `make gen` first.")
        build_data["force_include"][str(GENERATED)] = "convergence"
