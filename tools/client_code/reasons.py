"""The Python text of the error classes, one a reason, from the comments of protos/convergence/errors/v1/error_reason.proto."""

import re
import textwrap
from collections.abc import Iterator

KINDS = {
    "401": "Unauthenticated",
    "403": "PermissionDenied",
    "404": "NotFound",
    "405": "InvalidArgument",
    "408": "DeadlineExceeded",
    "409": "AlreadyExists",
    "413": "InvalidArgument",
    "415": "InvalidArgument",
    "429": "ResourceExhausted",
    "431": "InvalidArgument",
    "500": "Internal",
    "503": "Unavailable",
    "504": "DeadlineExceeded",
}
INVALID = {"BAD_FIELD", "REQUEST_MALFORMED"}
"""Of the two kinds that are a 400, INVALID_ARGUMENT; the others are FAILED_PRECONDITION."""
UNUSED = {"TOO_MANY_FAILED_ATTEMPTS"}
SAME = {"INTERNAL"}
"""Its class would have its kind's name, and is its kind."""


def class_name(reason: str) -> str:
    return "".join(part.capitalize() for part in reason.split("_"))


def kind(reason: str, comment: str) -> str:
    """The class that a reason's class derives from, by the HTTP status with which its comment begins."""
    status = re.match(r"\d{3}", comment)
    if status is None:
        raise ValueError(f"The comment of {reason} must begin with its HTTP status.")
    if status[0] == "400":
        return "InvalidArgument" if reason in INVALID else "FailedPrecondition"
    return KINDS[status[0]]


def module(reasons: Iterator[tuple[str, str]]) -> str:
    classes = [(reason, comment, kind(reason, comment)) for reason, comment in reasons if reason not in UNUSED | SAME]
    names = [class_name(reason) for reason, _, _ in classes]
    lines = [
        '"""An error class for each reason."""',
        "",
        "# Generated from protos/convergence/errors/v1/error_reason.proto by `make gen`.",
        "",
    ]
    lines += ["from convergence.rpc.errors import (", *(f"    {name}," for name in sorted({kind for _, _, kind in classes})), ")", ""]
    lines += ["__all__ = [", *(f'    "{name}",' for name in sorted(names)), "]"]
    for reason, comment, parent in classes:
        lines += ["", "", f'class {class_name(reason)}({parent}, reason="{reason}"):']
        text = comment.partition(": ")[2] if re.match(r"\d{3}: ", comment) else comment
        lines += textwrap.wrap(f'"""{text[0].upper()}{text[1:]}"""', 120, initial_indent="    ", subsequent_indent="    ")
    return "\n".join([*lines, ""])
