"""The Python text of a resource: one class for Client, one for AsyncClient, from the same description."""

import textwrap
from collections.abc import Iterator

from tools.client_code.reasons import class_name
from tools.client_code.surface import Argument, Message, Resource, Rpc

WIDTH = 120
EXTRAS = {"runs": "wait"}
"""Resources with methods beyond RPCs, and the module of convergence.rpc that has them."""


def resource_module(resource: Resource) -> str:
    messages = {m for rpc in resource.rpcs for m in (rpc.request, rpc.response, *([rpc.items[1]] if rpc.items else []))}
    body = "\n\n".join(
        [
            "\n".join(constant(rpc) for rpc in resource.rpcs),
            *("\n".join(cls(resource, asynchronous=asynchronous)) for asynchronous in (False, True)),
        ]
    )
    return "\n".join([*header(resource, messages, body), "", body, ""])


def header(resource: Resource, messages: set[Message], body: str) -> Iterator[str]:
    yield f'"""{resource.about}"""'
    yield ""
    yield "# Generated from protos/ and client/methods.toml by `make gen`."
    abstract = [name for name in ("AsyncIterator", "Iterator", "Mapping", "Sequence") if f" {name}[" in body]
    times = [name for name in ("date", "datetime") if f": {name}" in body or f"| {name}" in body]
    yield ""
    if abstract:
        yield f"from collections.abc import {', '.join(abstract)}"
    if times:
        yield f"from datetime import {', '.join(times)}"
    if "Decimal" in body:
        yield "from decimal import Decimal"
    yield "from typing import Final"
    yield ""
    for module in sorted({message.module for message in messages}):
        yield f"from {module} import {', '.join(sorted({message.file for message in messages if message.module == module}))}"
    yield "from convergence.rpc.async_calls import AsyncCalls, AsyncResource"
    yield "from convergence.rpc.calls import Calls, Resource"
    yield "from convergence.rpc.method import Caller, Method"
    if any(rpc.items for rpc in resource.rpcs):
        yield "from convergence.rpc.pages import AsyncPages, Pages"
    if extra := EXTRAS.get(resource.name):
        yield f"from convergence.rpc.{extra} import Async{extra.capitalize()}, {extra.capitalize()}"


def constant(rpc: Rpc) -> str:
    arguments = {
        "path": f'"{rpc.path}"',
        "request": rpc.request.python,
        "response": rpc.response.python,
        "caller": f"Caller.{rpc.caller}",
        "repeatable": str(rpc.repeatable),
        "idempotency_key": str(rpc.idempotency_key),
    }
    types = f"{rpc.request.python}, {rpc.response.python}"
    return (
        f"_{rpc.name.upper()}: Final = Method[{types}](\n" + "\n".join(f"    {name}={value}," for name, value in arguments.items()) + "\n)"
    )


def cls(resource: Resource, *, asynchronous: bool) -> Iterator[str]:
    prefix = "Async" if asynchronous else ""
    extra = EXTRAS.get(resource.name)
    parents = ", ".join([*([f"{prefix}{extra.capitalize()}"] if extra else []), f"{prefix}Resource"])
    yield ""
    yield f"class {prefix}{resource.cls}({parents}):"
    yield f'    """{resource.about}"""'
    for rpc in resource.rpcs:
        yield ""
        yield from method(rpc, asynchronous=asynchronous)


def method(rpc: Rpc, *, asynchronous: bool) -> Iterator[str]:
    prefix = "Async" if asynchronous else ""
    if rpc.streaming:
        call, result, keyword = "stream", f"{prefix}Iterator[{rpc.response.python}]", "def"
    elif rpc.items:
        call, result, keyword = "pages", f"{prefix}Pages[{rpc.items[1].python}, {rpc.response.python}]", "def"
    else:
        call, result, keyword = "unary", rpc.response.python, "async def" if asynchronous else "def"
    positional = [argument for argument in rpc.arguments if argument.positional]
    keywords = [argument for argument in rpc.arguments if not argument.positional]
    yield f"    {keyword} {rpc.name}("
    yield "        self,"
    yield from (f"        {parameter(argument)}," for argument in positional)
    yield "        *,"
    yield from (f"        {parameter(argument)}," for argument in sorted(keywords, key=lambda argument: not argument.required))
    if rpc.idempotency_key:
        yield "        idempotency_key: str | None = None,"
    yield "        timeout: float | None = None,"
    yield f"    ) -> {result}:"
    yield from docstring(rpc)
    yield "        fields: dict[str, object] = {" + ", ".join(f'"{a.name}": {a.name}' for a in rpc.arguments) + "}"
    wait = "await " if call == "unary" and asynchronous else ""
    key = ", idempotency_key=idempotency_key" if rpc.idempotency_key else ""
    items = f', items="{rpc.items[0]}", item={rpc.items[1].python}' if rpc.items else ""
    yield f"        return {wait}self._calls.{call}(_{rpc.name.upper()}, fields, timeout=timeout{key}{items})"


def parameter(argument: Argument) -> str:
    return f"{argument.name}: {argument.type}" if argument.required else f"{argument.name}: {argument.type} | None = None"


def docstring(rpc: Rpc) -> Iterator[str]:
    text = rpc.about.replace("\\", "\\\\")
    yield from textwrap.wrap(f'"""{text}', WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8)
    yield ""
    yield f"        REST: `{rpc.rest}`."
    if rpc.caller == "ANYONE":
        yield "        Needs no key."
    elif rpc.scope:
        yield f"        Needs the {'scope' if rpc.caller == 'TENANT' else 'role'} `{rpc.scope}`."
    rows = {argument.name: argument.about for argument in rpc.arguments}
    if rpc.idempotency_key:
        rows["idempotency_key"] = "Of your own, so that the call can be repeated later, too; None: one that is new for each call."
    if rpc.streaming:
        rows["timeout"] = "Seconds for the whole stream; None: until it ends."
    else:
        rows["timeout"] = f"Seconds for {'each page' if rpc.items else 'the call'}, retries included; None: the client's."
    yield ""
    yield "        Args:"
    for name, about in rows.items():
        yield from textwrap.wrap(f"{name}: {about}".replace("\\", "\\\\"), WIDTH, initial_indent=" " * 12, subsequent_indent=" " * 16)
    if rpc.refusals:
        names = ", ".join(class_name(reason) for reason in rpc.refusals)
        yield ""
        yield "        Raises:"
        yield from textwrap.wrap(f"{names}: beside what any call may raise.", WIDTH, initial_indent=" " * 12, subsequent_indent=" " * 16)
    yield '        """'


def client_module(resources: list[Resource]) -> str:
    """The two classes that hold all resources."""
    lines = ['"""All resources, as the client has them."""', "", "# Generated from protos/ and client/methods.toml by `make gen`.", ""]
    lines += [f"from convergence.api.{r.name} import Async{r.cls}, {r.cls}" for r in sorted(resources, key=lambda r: r.name)]
    lines += ["from convergence.rpc.async_calls import AsyncCalls", "from convergence.rpc.calls import Calls", ""]
    for prefix in ("", "Async"):
        lines += ["", f"class {prefix}Resources:", f'    """The resources of `{prefix}Client`."""', ""]
        lines += [
            f"    def __init__(self, calls: {prefix}Calls) -> None:",
            '        """`calls` carries the calls out."""',
            "        self._calls = calls",
        ]
        lines += [f"        self.{r.name}: Final = {prefix}{r.cls}(calls)" for r in resources]
        lines += [""]
    lines.insert(4, "from typing import Final\n")
    return "\n".join(lines)
