"""`make chaos`: CHAOS_SEED (1), CHAOS_MINUTES (5) and CHAOS_FAULTS (as many as fit) choose the campaign.

Writes `.local/chaos-report.json` and a table to standard output; exits with status 1 if an invariant does not hold, and keeps the state of
the stack then.
"""

import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.chaos.campaign import Plan, prepare
from tests.support.chaos.world import chaos_world

REPORT = Path(".local/chaos-report.json")
REPLICAS = {"auth": 2, "executor": 2, "scheduler": 2}
SETTING_UP = timedelta(seconds=60)


def main() -> int:
    """Runs one campaign. Midnight comes in its middle, by the services' clocks."""
    seed = int(os.environ.get("CHAOS_SEED") or 1)
    minutes = float(os.environ.get("CHAOS_MINUTES") or 5)
    faults = int(os.environ.get("CHAOS_FAULTS") or sys.maxsize)
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    ahead = midnight - now - SETTING_UP - timedelta(minutes=minutes / 2)
    state = Path(tempfile.mkdtemp(prefix="convergence-chaos-"))
    plan = Plan(seed=seed, faults=faults, seconds=minutes * 60, actors=2, lanes=3, ahead=ahead, crosses_midnight=True)
    with chaos_world(state, replicas=REPLICAS, ahead=ahead) as world:
        report = prepare(world, plan).run()
    report.write(REPORT)
    print(report.text())
    print(f"\n{REPORT.absolute()}")
    if report.violations:
        print(f"the state of the stack, with its logs, is kept in {state}", file=sys.stderr)
        return 1
    shutil.rmtree(state)
    return 0


if __name__ == "__main__":
    sys.exit(main())
