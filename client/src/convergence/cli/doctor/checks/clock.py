"""Whether this machine's clock and the gateway's agree."""

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from convergence.cli.doctor.finding import Finding
from convergence.cli.doctor.http_answer import Answered
from convergence.cli.doctor.installation import Installation
from convergence.cli.doctor.not_checked import NotChecked

MOST = timedelta(seconds=30)
"""Less than what tokens are allowed, and more than a slow answer and the header's whole seconds explain."""


def look(installation: Installation) -> list[Finding]:
    """Compares the header `Date`."""
    before = installation.now()
    outcome = installation.get("/healthz")
    after = installation.now()
    if not isinstance(outcome, Answered) or "date" not in outcome.headers:
        raise NotChecked("the gateway's answer has no date")
    return judge(parsedate_to_datetime(outcome.headers["date"]), before, after)


def judge(theirs: datetime, before: datetime, after: datetime) -> list[Finding]:
    """`theirs`: the gateway's time; `before` and `after`: ours around the call. Pure."""
    skew = theirs - after if theirs > after else before - theirs if theirs < before else timedelta(0)
    if skew <= MOST:
        return []
    way = "behind" if theirs > after else "ahead of"
    return [
        Finding(
            name="clock-skew",
            subject="clock",
            problem=f"This machine's clock is {skew.total_seconds():.0f} s {way} the gateway's: tokens and expiry times are misjudged, "
            "and `yesterday` may be another day.",
            mend="timedatectl set-ntp true   # on the machine whose clock is wrong; `date -u` there shows which",
        )
    ]
