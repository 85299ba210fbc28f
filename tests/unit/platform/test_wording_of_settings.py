"""What is said of a wrong setting: its variable, the cause and what to write instead, of every setting, and of all at once."""

import re
from typing import get_args

import pytest
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from console.settings import ConsoleSettings
from gateway.settings import GatewaySettings
from localcloud.settings import LocalSettings
from services.auth.settings import AuthSettings
from services.credentials.settings import CredentialsSettings
from services.executor.settings import ExecutorSettings
from services.platform.environment.reading import variable as variable_of
from services.platform.environment.reading import variables, wrong_in
from services.scheduler.settings import SchedulerSettings

KINDS: tuple[type[BaseSettings], ...] = (
    AuthSettings,
    CredentialsSettings,
    ExecutorSettings,
    SchedulerSettings,
    GatewaySettings,
    ConsoleSettings,
    LocalSettings,
)
WRONG = ("s3cret!", "20,000,000", "20s", "-1", "9" * 30, "inf", "1.5", "", "[1", "[", "5", '"s3cret!"', "[5]", '["s3cret!"]', "[{}]")
WRONG_OBJECTS = ('{"s3cret!": 5}', '{"a": {"b": 1}}', '[{"s3cret!": "s3cret!"}]', '{"max_schedules": "x"}', "[" * 100_000, "9" * 5000)
OF_PYDANTIC = re.compile(r"Value error|[Ii]nput|String should|Field required|valid |Extra inputs|tuple|dictionar|unable|instance|parse")
REMEDY = re.compile(r"\b(give|write|use|put|leave|check|add|set|name|must be)\b", re.IGNORECASE)
IS_NUMBER = {int, float}
EXAMPLE = re.compile(r" (?:E\.g\.|It is JSON, e\.g\.) (?P<name>\w+)=(?P<value>.*)$")


def subjects(line: str) -> set[str]:
    """The variables that a line begins with."""
    return set(line.partition(": ")[0].split(" and "))


def kinds_of(field: FieldInfo) -> tuple[object, ...]:
    annotation = getattr(field.annotation, "__value__", field.annotation)
    return get_args(annotation) or (annotation,)


@pytest.mark.parametrize("kind", KINDS)
def test_each_line_names_variables_and_what_to_write_with_an_example_that_is_accepted(kind: type[BaseSettings]) -> None:
    """Of all settings, so also of those to come. No line is pydantic's, and none has the value."""
    names = [variable_of(kind, (name,)) for name in kind.model_fields]
    examples = dict[str, str]()
    for value in (*WRONG, *WRONG_OBJECTS):
        for line in wrong_in(kind, dict.fromkeys(names, value)):
            assert "s3cret" not in line
            assert subjects(line) <= variables(kind), line
            assert subjects(line), line
            cause = line.partition(" E.g. ")[0].partition(" It is JSON, e.g. ")[0]
            assert not OF_PYDANTIC.search(cause), line
            assert REMEDY.search(cause), line
            if found := EXAMPLE.search(line):
                assert {found["name"]} == subjects(line), line
                examples[found["name"]] = found["value"].strip("'")
    numbers = [name for name, field in zip(names, kind.model_fields.values(), strict=True) if IS_NUMBER & set(kinds_of(field))]
    assert set(numbers) <= set(examples)
    assert wrong_in(kind, {variable: value for variable, value in examples.items() if "..." not in value}) == []


@pytest.mark.parametrize(
    ("kind", "name", "value", "cause"),
    [
        (SchedulerSettings, "CONVERGENCE_TRIGGER_CRON", "60 * * * *", "minute: `60` is no value of it; use 0 to 59."),
        (
            ExecutorSettings,
            "CONVERGENCE_READ_MAX_ROWS",
            "20,000,000",
            "it is no whole number: write digits alone, without a unit, separators or",
        ),
        (LocalSettings, "LOCALCLOUD_MORE_KMS_KEYS", "[1", "it cannot be read as JSON (Expecting ',' delimiter at character 3): check its"),
        (
            ExecutorSettings,
            "CONVERGENCE_LOG_LEVEL",
            "DEBUG",
            "it is none of the known words: write 'debug', 'info', 'warning' or 'error'. E.g.",
        ),
        (AuthSettings, "CONVERGENCE_PLAN_DEFAULTS", '{"max_schedules": "x"}', "max_schedules: it is no whole number"),
        (AuthSettings, "CONVERGENCE_ADMIN_KEYS", '[{"role": "scheduler"}]', "entry 1, sha256: it is missing: add it."),
        (AuthSettings, "CONVERGENCE_TOKEN_SECRETS", '["short"]', "entry 1: it is too short: give secrets of 32 characters or more."),
        (ExecutorSettings, "CONVERGENCE_NOTIFY_REFUSED_NETWORKS", '["203.0.113.1/24"]', "entry 1: it is no network of IP: write"),
        (GatewaySettings, "GATEWAY_TRACE_RATIO", "50", "it is too large: give 1 or less. E.g. GATEWAY_TRACE_RATIO=0.05"),
        (ConsoleSettings, "CONSOLE_MAX_STREAMS", "0", "it is too small: give more than 0. E.g. CONSOLE_MAX_STREAMS=200"),
    ],
)
def test_cause_and_remedy_are_said_in_plain_words(kind: type[BaseSettings], name: str, value: str, cause: str) -> None:
    [line] = wrong_in(kind, {name: value})
    assert line.startswith(f"{name}: {cause}")


RULES: dict[tuple[type[BaseSettings], str], dict[str, str]] = {
    (ExecutorSettings, "_logs_belong_to_runs"): {"CONVERGENCE_RUN_DAYS": "40", "CONVERGENCE_STEP_LOG_DAYS": "50"},
    (ExecutorSettings, "_mail_is_whole"): {"CONVERGENCE_NOTIFY_SMTP_HOST": "h", "CONVERGENCE_NOTIFY_SMTP_PASSWORD": "x"},
    (AuthSettings, "_keys_are_where_the_data_are"): {
        "CONVERGENCE_TENANT_LOCATIONS": '{"EU": "projects/p/locations/us/keyRings/r/cryptoKeys/k"}'
    },
    (CredentialsSettings, "_both_or_neither"): {"CONVERGENCE_ISSUER_URL": "https://a.test"},
    (GatewaySettings, "_both_or_none"): {"GATEWAY_TLS_KEY": "/k"},
    (ConsoleSettings, "_fits"): {"CONSOLE_TLS_KEY": "/k", "CONSOLE_OIDC_ISSUER": "https://a.test"},
}
"""An environment that breaks each rule about several settings together, in each way that it can be broken."""
LINES = {"_mail_is_whole": 2, "_fits": 2}
"""One, if it is not here."""


def test_rules_about_several_settings_name_their_variables() -> None:
    ruled = {(kind, name) for kind in KINDS for name in kind.__pydantic_decorators__.model_validators}
    inherited = {(kind, "_keys_are_where_the_data_are") for kind in (CredentialsSettings, ExecutorSettings, SchedulerSettings)}
    assert set(RULES) == ruled - inherited
    for (kind, name), environment in RULES.items():
        lines = wrong_in(kind, environment)
        assert len(lines) == LINES.get(name, 1), lines
        for line in lines:
            assert subjects(line) <= variables(kind), line
            assert REMEDY.search(line), line


def test_what_is_wrong_in_one_place_hides_nothing_elsewhere() -> None:
    """A rule about several settings is applied only where each is possible, and the first that is broken ends all of them."""
    wrong = {
        name: value for (kind, _), environment in RULES.items() if issubclass(kind, ExecutorSettings) for name, value in environment.items()
    }
    lines = wrong_in(ExecutorSettings, {**wrong, "CONVERGENCE_LEASE_SECONDS": "soon"})
    assert [line.partition(":")[0] for line in lines] == [
        "CONVERGENCE_LEASE_SECONDS",
        "CONVERGENCE_STEP_LOG_DAYS",
        "CONVERGENCE_NOTIFY_SMTP_FROM",
        "CONVERGENCE_NOTIFY_SMTP_USER and CONVERGENCE_NOTIFY_SMTP_PASSWORD",
    ]
    [one] = wrong_in(GatewaySettings, {"GATEWAY_TLS_CERTIFICATE": "", "GATEWAY_TLS_KEY": "/k"})
    assert one.startswith("GATEWAY_TLS_CERTIFICATE: it is empty"), "what is there and wrong is not missing, too"
