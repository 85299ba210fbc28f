"""docs/console.md lists every setting of the console, with its default."""

import re

from pydantic import SecretStr

from console.settings import ROOT, ConsoleSettings

ROW = re.compile(r"^\| `CONSOLE_(?P<name>[A-Z_]+)` \| (?P<default>[^|]+) \| [^|]+ \|$", re.MULTILINE)


def shown(value: object) -> str:
    """A default as the page writes it."""
    assert not isinstance(value, SecretStr)
    if value is None or value == "":
        return "none"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text.removeprefix(f'{ROOT}/')}`"


def test_the_page_lists_every_setting_with_its_default() -> None:
    listed = {match["name"].lower(): match["default"] for match in ROW.finditer((ROOT / "docs/console.md").read_text())}
    assert listed == {name: shown(field.default) for name, field in ConsoleSettings.model_fields.items()}
