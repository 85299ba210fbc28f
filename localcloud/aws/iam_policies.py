"""Evaluates IAM policies as AWS does: an action that is not allowed is denied, and a Deny takes precedence. Pure.

IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements". An operator or a variable that is unknown here never grants
access.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

type Document = Mapping[str, Any]
"""A policy, parsed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IamRequest:
    """The request that policies decide about."""

    action: str
    """E.g. s3:GetObject."""
    resource: str
    """An ARN."""
    context: Mapping[str, str]
    """The request's condition keys, e.g. s3:prefix. An absent key satisfies no condition."""


def allows(documents: Iterable[Document], request: IamRequest) -> bool:
    """True if one statement of the policies together allows it, and none denies it."""
    fitting = [one["Effect"] for document in documents for one in _statements(document) if _concerns(one, request)]
    return "Allow" in fitting and "Deny" not in fitting


def denies(documents: Iterable[Document], request: IamRequest) -> bool:
    """True if one statement denies it."""
    return any(one["Effect"] == "Deny" and _concerns(one, request) for document in documents for one in _statements(document))


def trusts(document: Document, principals: Iterable[tuple[str, str]], request: IamRequest) -> bool:
    """True if a role's trust policy lets one of these in, e.g. ("Federated", the provider's ARN) or ("AWS", the user's ARN)."""
    known = set(principals)
    fitting = [
        one["Effect"] for one in _statements(document) if known & set(_principals(one)) and _concerns(one, request, has_resource=False)
    ]
    return "Allow" in fitting and "Deny" not in fitting


def _statements(document: Document) -> list[Mapping[str, Any]]:
    statements = document["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _principals(statement: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    named = statement.get("Principal", {})
    if named == "*":
        named = {"AWS": "*"}
    for kind, values in named.items():
        yield from ((kind, value) for value in _listed(values))


def _concerns(statement: Mapping[str, Any], request: IamRequest, *, has_resource: bool = True) -> bool:
    actions = any(_like(pattern.lower(), request.action.lower()) for pattern in _listed(statement.get("Action", [])))
    resources = not has_resource or any(_like(pattern, request.resource) for pattern in _listed(statement.get("Resource", [])))
    actual = {name.lower(): value for name, value in request.context.items()}
    conditions = [(operator, key, values) for operator, keys in statement.get("Condition", {}).items() for key, values in keys.items()]
    is_deny = statement["Effect"] == "Deny"
    return (
        actions
        and resources
        and all(_holds(operator, _listed(values), actual.get(key.lower()), is_deny=is_deny) for operator, key, values in conditions)
    )


def _holds(operator: str, values: list[str], actual: str | None, *, is_deny: bool) -> bool:
    """Whether a condition holds of a request in which its key has the value `actual`."""
    if operator == "Null":
        return values == [str(actual is None).lower()]
    if operator.endswith("IfExists") and actual is None:
        return True
    name = operator.removesuffix("IfExists").removeprefix("ForAnyValue:")
    if name not in _OPERATORS or any("${" in value for value in values):
        return is_deny
    return _OPERATORS[name](values, actual)


def _listed(values: Any) -> list[str]:
    return [str(value) for value in values] if isinstance(values, list) else [str(values)]


def _like(pattern: str, text: str) -> bool:
    return bool(re.fullmatch("".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in pattern), text, re.DOTALL))


def _is(values: list[str], actual: str | None) -> bool:
    return actual in values


def _is_like(values: list[str], actual: str | None) -> bool:
    return actual is not None and any(_like(pattern, actual) for pattern in values)


_OPERATORS: Mapping[str, Callable[[list[str], str | None], bool]] = {
    "StringEquals": _is,
    "StringLike": _is_like,
    "StringNotEquals": lambda values, actual: not _is(values, actual),
    "StringNotLike": lambda values, actual: not _is_like(values, actual),
    "ArnEquals": _is_like,
    "ArnLike": _is_like,
}
