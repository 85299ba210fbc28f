"""`python -m tests.support.monitoring`: all checks, see the package."""

import subprocess
import tempfile
from pathlib import Path

import yaml

from tests.support.monitoring.live import check
from tests.support.monitoring.rules import ALERTS, panels
from tests.support.monitoring.unit_tests import write_unit_tests


def promtool(*arguments: str) -> None:
    """Raises CalledProcessError if it finds something."""
    subprocess.run(["promtool", *arguments], check=True)


def main() -> None:
    """Ends with an error at the first thing that is wrong."""
    with tempfile.TemporaryDirectory(prefix="monitoring-") as name:
        folder = Path(name)
        asked = [{"record": f"panel:number{number}", "expr": panel.expr} for number, panel in enumerate(panels())]
        (folder / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}, width=10_000))
        promtool("check", "rules", str(ALERTS), str(folder / "panels.yml"))
        promtool("test", "rules", *map(str, write_unit_tests(folder)))
        check(folder, say=lambda text: print(f"  {text}", flush=True))


if __name__ == "__main__":
    main()
