"""The jobs of `configs/cloud_scheduler/jobs.yaml`: their contents, fire times, and waits between retries."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from string import Template
from typing import Any, Self
from zoneinfo import ZoneInfo

import yaml
from croniter import croniter

JOBS = Path(__file__).resolve().parents[2] / "configs" / "cloud_scheduler" / "jobs.yaml"


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryConfig:
    """The retryConfig of Cloud Scheduler's API; times in seconds."""

    count: int
    """Tries after the first one; 0: none."""
    max_duration: float
    """No try begins later than this after the first one; 0: unlimited."""
    min_backoff: float
    max_backoff: float
    max_doublings: int

    def waits(self) -> Iterator[float]:
        """Seconds to wait before each further try: doubled `max_doublings` times, then growing by the last step, up to the maximum."""
        wait = step = self.min_backoff
        for number in range(self.count):
            yield min(wait, self.max_backoff)
            if number < self.max_doublings:
                wait = step = wait * 2
            else:
                wait += step


@dataclass(frozen=True, kw_only=True, slots=True)
class OidcToken:
    """The oidcToken of Cloud Scheduler's API: every call carries an identity token of this account."""

    email: str
    audience: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One job."""

    name: str
    """The last part of its resource name."""
    schedule: str
    zone: ZoneInfo
    uri: str
    method: str
    headers: Mapping[str, str] = field(repr=False)
    """Includes the admin key, unless `oidc` is there."""
    body: bytes
    attempt_deadline: float
    """Timeout in seconds of a try."""
    retry: RetryConfig
    oidc: OidcToken | None = None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Self:
        """From the format of the API. Raises KeyError, ValueError or ZoneInfoNotFoundError for an invalid entry."""
        target, retry = entry["httpTarget"], entry["retryConfig"]
        token = target.get("oidcToken")
        if not croniter.is_valid(entry["schedule"]):
            raise ValueError(f"{entry['name']}: no schedule: {entry['schedule']}")
        return cls(
            name=entry["name"].rpartition("/")[2],
            schedule=entry["schedule"],
            zone=ZoneInfo(entry["timeZone"]),
            uri=target["uri"],
            method=target["httpMethod"],
            headers=target["headers"],
            body=base64.b64decode(target["body"], validate=True),
            attempt_deadline=_seconds(entry["attemptDeadline"]),
            retry=RetryConfig(
                count=retry["retryCount"],
                max_duration=_seconds(retry["maxRetryDuration"]),
                min_backoff=_seconds(retry["minBackoffDuration"]),
                max_backoff=_seconds(retry["maxBackoffDuration"]),
                max_doublings=retry["maxDoublings"],
            ),
            oidc=OidcToken(email=token["serviceAccountEmail"], audience=token["audience"]) if token else None,
        )

    def next_after(self, now: datetime, every: float | None = None) -> datetime:
        """The next fire time; with `every`, that many seconds from now, whatever its schedule."""
        if every is not None:
            return now + timedelta(seconds=every)
        moment: datetime = croniter(self.schedule, now.astimezone(self.zone)).get_next(datetime)
        return moment.astimezone(now.tzinfo)


def load_jobs(environment: Mapping[str, str], path: Path = JOBS, *, account: str | None = None) -> list[Job]:
    """The jobs of a file, with placeholders filled in. With `account`, they send its identity tokens instead of the admin key, as
    docs/google-cloud.md says how to change them. Raises KeyError, naming it, for a placeholder that the environment lacks.
    """
    entries = yaml.safe_load(path.read_text())["jobs"]
    if account is not None:
        entries = [_with_tokens(entry, account) for entry in entries]
    return [Job.of(_filled(entry, environment)) for entry in entries]


def _with_tokens(entry: Mapping[str, Any], account: str) -> dict[str, Any]:
    target = entry["httpTarget"]
    headers = {name: value for name, value in target["headers"].items() if name != "X-Admin-Key"}
    token = {"serviceAccountEmail": account, "audience": "${GATEWAY_URL}"}
    return {**entry, "httpTarget": {**target, "headers": headers, "oidcToken": token}}


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    """Applied after the YAML is parsed, so that no value can change its structure."""
    if isinstance(value, str):
        return Template(value).substitute(environment)
    if isinstance(value, Mapping):
        return {key: _filled(inner, environment) for key, inner in value.items()}
    return value


def _seconds(duration: str) -> float:
    """A duration as the API writes it, e.g. `60s`."""
    if not duration.endswith("s"):
        raise ValueError(f"a duration is seconds with an s, e.g. 60s, not {duration}")
    return float(duration[:-1])
