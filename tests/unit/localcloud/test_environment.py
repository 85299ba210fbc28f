"""What the services of a stack are given, and what stays with the stack when it is started again."""

import json
import stat
from pathlib import Path

from localcloud.processes.environment import service_environment
from localcloud.settings import LocalSettings


def secrets_of(state: Path) -> list[str]:
    environment = service_environment(LocalSettings(state_dir=state), admin_key="admin")
    found: list[str] = json.loads(environment["CONVERGENCE_TOKEN_SECRETS"])
    return found


def test_a_stack_signs_tokens_with_a_secret_of_its_own_which_outlives_it(tmp_path: Path) -> None:
    first, again, other = secrets_of(tmp_path / "a"), secrets_of(tmp_path / "a"), secrets_of(tmp_path / "b")
    assert first == again
    assert first != other
    assert [len(one) >= 32 for one in first] == [True]
    assert stat.S_IMODE((tmp_path / "a" / "token_secret").stat().st_mode) == 0o600
