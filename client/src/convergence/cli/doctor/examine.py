"""Does the checks one after the other."""

from collections.abc import Iterator, Sequence

from convergence.cli.doctor.checks import CHECKS, Check
from convergence.cli.doctor.finding import Looked
from convergence.cli.doctor.installation import Installation
from convergence.cli.doctor.not_checked import NotChecked
from convergence.client import ConvergenceError


def examine(installation: Installation, checks: Sequence[Check] = CHECKS) -> Iterator[Looked]:
    """Each check as it is done. What cannot be looked at because another part is in its way is skipped, and says so."""
    in_the_way = ""
    for check in checks:
        if in_the_way:
            yield Looked(check=check.name, skipped=in_the_way)
            continue
        looked = _look(check, installation)
        if check.is_first and looked.findings:
            in_the_way = f"first mend {looked.findings[0].name}"
        yield looked


def _look(check: Check, installation: Installation) -> Looked:
    try:
        return Looked(check=check.name, findings=check.look(installation))
    except NotChecked as why:
        return Looked(check=check.name, skipped=str(why))
    except ConvergenceError as error:
        # Some other part is broken; the check of that part says which.
        return Looked(check=check.name, skipped=f"a call failed: {error}")
