"""Writes the dashboards."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from services.platform.settings import REPOSITORY
from tools.dashboards.boards import BOARDS
from tools.dashboards.grafana import to_json

FOLDER: Final = REPOSITORY / "deploy" / "monitoring" / "dashboards"


def files() -> Iterator[tuple[Path, str]]:
    """Each file, and what is to be in it."""
    for board in BOARDS:
        yield FOLDER / f"{board.uid}.json", json.dumps(to_json(board), indent=2) + "\n"


if __name__ == "__main__":
    for path, text in files():
        path.write_text(text)
