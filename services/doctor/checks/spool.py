"""Whether the executor has room for the files that it reads."""

import os
import shutil
from pathlib import Path

from services.doctor.finding import Finding, NotChecked
from services.doctor.world import World
from services.executor.settings import ExecutorSettings

LEAST_BYTES = 2**30
"""Less than this fails the runs of large exports."""


async def look(world: World) -> list[Finding]:
    """Looks at `CONVERGENCE_SPOOL_DIR`."""
    if "executor" not in world.names:
        raise NotChecked("only the executor spools files")
    try:
        folder = ExecutorSettings().spool_dir
    except ValueError:
        raise NotChecked("first mend settings-invalid") from None
    is_there = folder.is_dir()
    free = shutil.disk_usage(folder).free if is_there else 0
    return judge(folder, is_there=is_there, is_writable=os.access(folder, os.W_OK | os.X_OK), free_bytes=free)


def judge(folder: Path, *, is_there: bool, is_writable: bool, free_bytes: int) -> list[Finding]:
    """Pure."""
    if not is_there:
        problem, mend = "does not exist", f"mkdir -p {folder}   # or mount a volume there; on a laptop `make up` makes it"
    elif not is_writable:
        problem, mend = "cannot be written", f"chown {os.getuid()} {folder}"
    elif free_bytes < LEAST_BYTES:
        problem, mend = (
            f"has only {free_bytes / 2**20:.0f} MiB left",
            f"df -h {folder}   # give it 1 GiB at least, better the largest export",
        )
    else:
        return []
    text = f"The executor's folder for files, {folder}, {problem}: runs that read exports fail."
    return [Finding(name="spool-unusable", subject=str(folder), problem=text, mend=mend)]
