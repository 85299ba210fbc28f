"""What is wrong with a setting and what to write instead, in plain words with an example. Pydantic's own texts are for programmers: "unable
to parse string as an integer" names no remedy. Pure; a value is never repeated, for it may be a secret.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic.fields import FieldInfo

from services.platform.environment.values import name_for_people

EXAMPLES: Final[Mapping[str, str]] = {
    "admin_keys": '[{"role": "scheduler", "sha256": "..."}]',
    "dataset_owners": '["credentials@P.iam.gserviceaccount.com"]',
    "dataset_writers": '["executor@P.iam.gserviceaccount.com"]',
    "more_kms_keys": '["projects/P/locations/europe/keyRings/R/cryptoKeys/K"]',
    "notify_ports": "[443]",
    "notify_refused_networks": '["203.0.113.0/24"]',
    "oidc": '[{"issuer": "https://accounts.google.com", "audience": "https://api.example.com",'
    ' "rules": [{"role": "scheduler", "email": "jobs@P.iam.gserviceaccount.com"}]}]',
    "otlp_headers": '{"authorization": "Bearer ..."}',
    "own_resources": '["my-project"]',
    "plan_defaults": '{"max_schedules": 500}',
    "reserved_tenant_ids": '["internal"]',
    "tenant_locations": '{"EU": "projects/P/locations/europe/keyRings/R/cryptoKeys/K"}',
    "token_secrets": '["..."]',
}
"""Of each setting that is JSON: a value as the variable has it."""

WORDS: Final[Mapping[str, str]] = {
    "bool_parsing": "it is neither true nor false: write one of these",
    "bool_type": "it is neither true nor false: write one of these",
    "extra_forbidden": "nothing is called so here: check the name, or leave it out",
    "finite_number": "it is no finite number: write one in digits",
    "float_parsing": "it is no number: write digits, with a point before decimals, without a unit and without separators",
    "float_type": "it is no number: write digits, with a point before decimals, without quotes",
    "greater_than": "it is too small: give more than {gt}",
    "greater_than_equal": "it is too small: give {ge} or more",
    "int_from_float": "it is no whole number: write digits, without decimals",
    "int_parsing": "it is no whole number: write digits alone, without a unit, separators or decimals",
    "int_parsing_size": "it is too large: give a smaller number",
    "int_type": "it is no whole number: write digits, without quotes",
    "ip_v4_network": "it is no network of IP: write the first address and the length of the prefix, e.g. 203.0.113.0/24",
    "ip_v6_network": "it is no network of IP: write the first address and the length of the prefix, e.g. 203.0.113.0/24",
    "less_than": "it is too large: give less than {lt}",
    "less_than_equal": "it is too large: give {le} or less",
    "literal_error": "it is none of the known words: write {expected}",
    "missing": "it is missing: add it",
    "string_too_short": "it is too short: give {min_length} characters or more",
    "string_type": "it is no text: put it in quotes",
    "too_short": "it is too short: give {min_length} or more",
    **dict.fromkeys(("frozen_set_type", "list_type", "set_type", "tuple_type"), "it is no list: write [...]"),
    **dict.fromkeys(("dataclass_type", "dict_type", "mapping_type", "model_type"), "it is no object: write {{...}}"),
}
"""By pydantic's type of the error; texts in braces are what its context names."""

OF_SECRETS: Final = "it is too short: give secrets of {min_length} characters or more"
PARTS_OF_KEYS: Final = "[key]"


class NotJson(str):
    """The text of a variable that should be JSON and is not. Like any other wrong value, it is refused with the name of its field."""

    __slots__ = ("why",)
    why: str

    @classmethod
    def of(cls, text: str, why: str) -> "NotJson":
        """With why and where it cannot be read, which does not repeat it."""
        one = cls(text)
        one.why = why
        return one


def what_is_wrong(error: Mapping[str, Any]) -> str:
    """The cause, and what to write instead, of one of `ValidationError.errors()`, with the part of the value that is meant."""
    kind, context = str(error["type"]), {name: _shown(value) for name, value in error.get("ctx", {}).items()}
    if isinstance(given := error.get("input"), NotJson):
        return f"it cannot be read as JSON ({given.why}): check its quotes and brackets"
    if kind == "value_error":
        text = str(context["error"])
    elif kind == "too_short" and context.get("field_type") == "Value":
        text = OF_SECRETS.format(**context)
    else:
        text = WORDS[kind].format(**context) if kind in WORDS else str(error["msg"])
    return f"{_part(kind, error['loc'][1:])}{text.rstrip('.')}"


def _part(kind: str, place: tuple[int | str, ...]) -> str:
    """`entry 2, role: `; empty for the whole value."""
    # The last of these names the alternative, of IPv4 and IPv6, that did not fit.
    names = [one for one in (place[:-1] if kind.startswith("ip_") else place) if one != PARTS_OF_KEYS]
    said = [f"entry {one + 1}" if isinstance(one, int) else name_for_people(one) for one in names]
    return f"{', '.join(said)}: " if said else ""


def example(name: str, variable: str, field: FieldInfo | None, text: str) -> str:
    """` E.g. VARIABLE=value`, for the end of a line; empty if `text` has an example, or none is known."""
    if name in EXAMPLES:
        return f" It is JSON, e.g. {variable}='{EXAMPLES[name]}'"
    value = _usual(name, field)
    quoted = f"'{value}'" if " " in value else value
    return "" if not value or "e.g. " in text else f" E.g. {variable}={quoted}"


def _usual(name: str, field: FieldInfo | None) -> str:
    """The default, or a number that is possible where there is none."""
    default = field.default if field else None
    if default is None and field and {int, float} & set(getattr(field.annotation, "__args__", ())):
        return "30"
    if default is None and name.endswith("_port"):
        return "9100"
    return "" if default is None else _shown(default)


def _shown(value: object) -> str:
    """As a variable has it: `true`, and `20` for 20.0."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
