"""The services' messages name REST calls, for most of their readers make these. Here they name the program's own commands. Pure."""

import re

_COMMANDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"POST them to /api/v1/tenants/\w+/credentials\b"), "Set them by `convergence credentials set PROVIDER --file FILE`"),
    (re.compile(r"GET /api/v1/tenants\b(?!/)"), "`convergence tenants list`"),
    (re.compile(r"PUT /api/v1/tenants/(\w+)"), r"`convergence tenants put \1`"),
    (re.compile(r"GET /api/v1/pipelines/templates\b"), "`convergence templates list`"),
    (re.compile(r"GET \.\.\./credentials/(\w+)/trust\b"), r"`convergence credentials trust \1`"),
    (re.compile(r"GET \.\.\./quota\b"), "`convergence quota`"),
    (re.compile(r"GET \.\.\.:watch\b"), "`convergence run watch`"),
)


def in_commands(message: str) -> str:
    """The message with a command in the place of each REST call."""
    for call, command in _COMMANDS:
        message = call.sub(command, message)
    return message
