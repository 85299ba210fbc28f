"""The list of commands in docs/cli.md, from the command line itself: `python -m tools.cli_docs`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from convergence.cli.app import program
from convergence.cli.noun import SHARED, Verb, verbs

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "cli.md"
BEGIN, END = "<!-- commands: begin -->", "<!-- commands: end -->"


def commands() -> dict[str, Any]:
    """Each command by its path, e.g. `run start`, as the program has it."""
    return dict(_leaves(program(), ""))


def reference() -> str:
    """A section for each noun, and a first one for commands without a noun."""
    known = commands()
    nouns: dict[str, list[str]] = {}
    for verb in verbs():
        noun = verb.path.partition(" ")[0] if " " in verb.path else ""
        nouns.setdefault(noun, []).append(_described(verb, known[verb.path]))
    return "\n\n".join(f"### {noun or 'Without a noun'}\n\n" + "\n".join(lines) for noun, lines in sorted(nouns.items()))


def with_commands(page: str, text: str) -> str:
    """The page with the list between its two marks. Raises ValueError without them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page lacks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def _leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, below in command.commands.items():
        if hasattr(below, "commands"):
            yield from _leaves(below, f"{path}{name} ")
        else:
            yield f"{path}{name}", below


def _described(verb: Verb, command: Any) -> str:
    arguments = [one.metavar for one in command.params if one.param_type_name == "argument"]
    options = [one.opts[0] for one in command.params if one.param_type_name == "option" and one.name not in SHARED]
    line = " ".join(["convergence", verb.path, *arguments])
    text = " ".join(verb.help.split())
    more = f" Options: {', '.join(f'`{name}`' for name in options)}." if options else ""
    return f"- **`{line}`**: {text}{more}\n  `{verb.example}`"


if __name__ == "__main__":
    PAGE.write_text(with_commands(PAGE.read_text(), reference()))
