"""Ties a child process to its supervisor, then becomes the command: `python die_with_parent.py SUPERVISOR_PID COMMAND ...`.

The kernel kills a child when the supervisor's spawning thread ends for any reason, SIGKILL included. It is a file of its own, run as a
script, because the alternative (`preexec_fn`) runs Python between fork and exec in a process full of threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(supervisor: int, command: list[str]) -> None:
    """Does not return: the process becomes the command. A missing command gives exit status 127, as in a shell."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The supervisor may have died before the line above took effect.
    if os.getppid() != supervisor:
        sys.exit("the supervisor is gone")
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        print(f"cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
