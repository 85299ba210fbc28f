"""What is looked at, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

TENANT_PATHS: Final = (
    *("/costs", "/runs", "/runs/{run}", "/runs/new/gcp/cost/billing"),
    *("/setup", "/setup/schedules", "/setup/queue"),
)
"""`{run}` is a run that has ended, `{tenant}` the sample tenant."""
OPERATOR_PATHS: Final = ("/tenants", "/tenants/{tenant}", "/fleet", "/fleet/runs")
LEAST_SCORE: Final = 95
MOST_MS: Final = 2_000.0
"""Until a screen is interactive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One way to look at each page."""

    name: str
    theme: str
    """`light` or `dark`, as the console's cookie has it."""
    arguments: tuple[str, ...] = ()
    """Of Lighthouse, which looks as a phone does if it is not asked to do otherwise."""


LOOKS: Final = (
    Look(name="light", theme="light", arguments=("--preset=desktop",)),
    Look(name="dark", theme="dark", arguments=("--preset=desktop",)),
    Look(name="phone", theme="light"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What Lighthouse found on one page."""

    path: str
    look: str
    accessibility: int
    """0 to 100, as the next."""
    best_practices: int
    server_ms: float
    interactive_ms: float
    """On this machine as it is: nothing is throttled."""
    failed: tuple[str, ...]
    """The audits that did not pass, each with what it found."""

    @property
    def is_good(self) -> bool:
        """Whether both scores are high enough. Times are for people to judge, on a machine that does nothing else."""
        return min(self.accessibility, self.best_practices) >= LEAST_SCORE


def verdict_of(result: Mapping[str, Any], *, path: str, look: str) -> Verdict:
    """Reads Lighthouse's JSON. Raises ValueError if it could not look at the page."""
    categories: dict[str, dict[str, Any]] = result["categories"]
    audits: dict[str, dict[str, Any]] = result["audits"]
    scores = [categories[name]["score"] for name in ("accessibility", "best-practices")]
    if result.get("runtimeError") or None in scores:
        broken = {one["id"]: one.get("errorMessage") for one in audits.values() if one["scoreDisplayMode"] == "error"}
        raise ValueError(f"Lighthouse could not look at {path}: {result.get('runtimeError') or broken}")
    accessibility, best_practices = (round(100 * (score or 0)) for score in scores)
    graded = {ref["id"] for name in ("accessibility", "best-practices") for ref in categories[name]["auditRefs"]}
    failed = [f"{one['id']}: {one['title']}{_where(one)}" for one in audits.values() if one["id"] in graded and one["score"] == 0]
    return Verdict(
        path=path,
        look=look,
        accessibility=accessibility,
        best_practices=best_practices,
        server_ms=_number(audits, "server-response-time"),
        interactive_ms=_number(audits, "interactive"),
        failed=tuple(failed),
    )


def _number(audits: Mapping[str, Mapping[str, Any]], name: str) -> float:
    value = audits[name].get("numericValue")
    return float(value) if isinstance(value, int | float) else float("nan")


def _where(audit: Mapping[str, Any]) -> str:
    details = audit.get("details")
    items = details.get("items", []) if isinstance(details, dict) else []
    snippets = [str(one.get("node", {}).get("snippet") or one.get("description") or one.get("source") or "") for one in items[:3]]
    return "".join(f"\n    {snippet[:160]}" for snippet in snippets if snippet)


def report(verdicts: list[Verdict]) -> str:
    """The whole page."""
    lines = [
        f"| {one.path} | {one.look} | {one.accessibility} | {one.best_practices} | {one.server_ms:.0f} | {one.interactive_ms / 1000:.1f} |"
        for one in verdicts
    ]
    return f"""# The console, as Lighthouse sees it

Each screen with the sample tenant's data, in a browser that has signed in. Scores are of 100 and must be {LEAST_SCORE} at least. Times are
those of the machine as it was, with the whole suite and Lighthouse itself on it; nothing is throttled. Interactive within
{MOST_MS / 1000:.0f} s is what a screen should be: {sum(one.interactive_ms <= MOST_MS for one in verdicts)} of {len(verdicts)} were.

| page | look | accessibility | best practices | server, ms | interactive, s |
|---|---|--:|--:|--:|--:|
{chr(10).join(lines)}

Again: `make lighthouse`.
"""
