"""Shows what a doctor found."""

from collections.abc import Iterable

from convergence.cli.doctor.finding import Looked
from convergence.cli.output.printable import one_line
from convergence.cli.output.printer import Printer
from rich.text import Text

_MARKS = {"OK": ("✓", "green"), "PROBLEM": ("✗", "bold red"), "SKIPPED": ("-", "dim")}


def show(printer: Printer, looked: Iterable[Looked]) -> bool:
    """Prints each check as it is done, or all as one JSON object. Returns whether nothing is wrong."""
    done = []
    for one in looked:
        done.append(one)
        if not printer.is_json:
            _show_one(printer, one)
    is_healthy = not any(one.findings for one in done)
    if printer.is_json:
        printer.json({"healthy": is_healthy, "checks": [one.as_json() for one in done]})
    else:
        found = sum(len(one.findings) for one in done)
        skipped = sum(bool(one.skipped) for one in done)
        said = "Nothing is wrong" if is_healthy else f"{found} {'thing is' if found == 1 else 'things are'} wrong"
        printer.part(f"{said}; {len(done) - skipped} checks done, {skipped} skipped.", style="green" if is_healthy else "bold red")
    return is_healthy


def _show_one(printer: Printer, one: Looked) -> None:
    mark, style = _MARKS[one.status]
    head = Text(f"{mark} ", style=style) + Text(one.check) + Text(f"  ({one_line(one.skipped)})" if one.skipped else "", style="dim")
    printer.drawing(head)
    for finding in one.findings:
        printer.drawing(Text(f"    {finding.name}", style="bold red") + Text(f" {one_line(f'[{finding.subject}] {finding.problem}')}"))
        printer.drawing(Text("    $ ", style="dim") + Text(one_line(finding.mend), style="bold"))
        printer.drawing(Text(f"    {finding.runbook}", style="dim"))
