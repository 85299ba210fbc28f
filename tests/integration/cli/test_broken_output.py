"""Output that cannot be written: a full disk, a reader that has gone, a stream that was closed."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("convergence")


def run(line: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(tmp_path), "PROGRAM": str(PROGRAM), "PATH": "/usr/bin:/bin"}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("words", ["profiles show a", "--help"])
def test_a_full_disk_is_named(tmp_path: Path, words: str) -> None:
    _profile(tmp_path)
    ended = run(f"$PROGRAM {words} > /dev/full", tmp_path)
    assert (ended.returncode, ended.stderr) == (
        74,
        "Error: The answer cannot be written (No space left on device). What was asked for may be done.\n",
    )


def test_a_reader_that_has_gone_is_no_answer_that_is_bad(tmp_path: Path) -> None:
    _profile(tmp_path)
    # The reader has ended for sure when the program begins to write.
    pipe = tmp_path / "pipe"
    open_and_close = f"mkfifo {pipe}; sleep 60 < {pipe} & exec 3> {pipe}; kill $!; wait"
    ended = run(f"{open_and_close}; $PROGRAM profiles show a >&3; echo $?", tmp_path)
    assert (ended.stdout, ended.stderr) == ("141\n", "")


def test_a_closed_stream_breaks_nothing(tmp_path: Path) -> None:
    _profile(tmp_path)
    ended = run("$PROGRAM profiles show a >&-", tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


def _profile(home: Path) -> None:
    folder = home / ".config" / "convergence"
    folder.mkdir(parents=True, mode=0o700)
    file = folder / "profiles.toml"
    file.touch(mode=0o600)
    file.write_text('[profiles.a]\nurl = "http://127.0.0.1:1"\n')
