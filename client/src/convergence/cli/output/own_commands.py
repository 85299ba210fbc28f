"""Messages of others in the program's own words: the services' name REST calls, the client's its arguments, and the library that reads
options has words for programmers. Pure.
"""

import re

_COMMANDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"POST them to /api/v1/tenants/\w+/credentials\b"), "Set them by `convergence credentials set PROVIDER --file FILE`"),
    (re.compile(r"GET /api/v1/tenants\b(?!/)"), "`convergence tenants list`"),
    (re.compile(r"PUT /api/v1/tenants/(\w+)"), r"`convergence tenants put \1`"),
    (re.compile(r"GET /api/v1/pipelines/templates\b"), "`convergence templates list`"),
    (re.compile(r"GET \.\.\./credentials/(\w+)/trust\b"), r"`convergence credentials trust \1`"),
    (re.compile(r"GET \.\.\./quota\b"), "`convergence quota`"),
    (re.compile(r"GET \.\.\.:watch\b"), "`convergence run watch`"),
    # What the client asks its programmers for.
    (re.compile(r"give it or the client `tenant_id=`"), "give --tenant"),
    (re.compile(r"Give the client `(api|admin)_key=`, set"), "Log in, set"),
    # The library that reads the options has pydantic's words for numbers.
    (re.compile(r"Input should be a valid integer, .*"), "it is no whole number: write digits alone, e.g. 20."),
    (re.compile(r"Input should be a valid number, .*"), "it is no number: write digits, e.g. 0.5."),
    (re.compile(r"Input should be greater than or equal to ([\d.]+)"), r"it is too small: give \1 or more."),
    (re.compile(r"Input should be less than or equal to ([\d.]+)"), r"it is too large: give \1 or less."),
)


def in_commands(message: str) -> str:
    """The message with commands and options in the places of calls and arguments."""
    for call, command in _COMMANDS:
        message = call.sub(command, message)
    return message
