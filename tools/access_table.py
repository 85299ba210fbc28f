"""The table in SECURITY.md of who may call which RPC, from the access rules in the protos: `python -m tools.access_table`."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from convergence.access.v1 import access_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "SECURITY.md"
BEGIN, END = "<!-- access table: begin -->", "<!-- access table: end -->"
SUSPENDED: Final = "*"
"""Marks an RPC that is open to tenants that are not ACTIVE."""


def table(descriptors: FileDescriptorSet) -> str:
    """One row for each kind of caller, with its RPCs in alphabetical order."""
    rows = defaultdict[str, list[str]](list)
    for method in _methods(descriptors):
        rule = method.options.Extensions[access_pb2.allow]
        mark = SUSPENDED if rule.tenant.even_if_suspended else ""
        for caller in _callers(rule):
            rows[caller].append(f"{method.name}{mark}")
    lines = [f"| {caller} | {', '.join(sorted(rpcs))} |" for caller, rpcs in sorted(rows.items())]
    return "\n".join(["| caller | may call |", "|---|---|", *lines])


def with_table(page: str, text: str) -> str:
    """The page with the table between its two marks. Raises ValueError without them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page lacks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def read_descriptors() -> FileDescriptorSet:
    """The generated descriptor set."""
    return FileDescriptorSet.FromString((ROOT / "gen" / "descriptor.binpb").read_bytes())


def _methods(descriptors: FileDescriptorSet) -> Iterator[MethodDescriptorProto]:
    for file in descriptors.file:
        if file.package.startswith("convergence."):
            for service in file.service:
                yield from service.method


def _callers(rule: access_pb2.Allow) -> Iterator[str]:
    match rule.WhichOneof("caller"):
        case "tenant":
            yield f"tenant, a key with scope `{rule.tenant.scope}`" if rule.tenant.scope else "tenant, any key"
        case "admin":
            yield f"operator, role `{rule.admin.role}`"
        case "service":
            for name in rule.service.names:
                yield f"service `{name}`, by its certificate"
        case "anyone":
            yield "anyone"
        case _:
            yield "no one: the RPC has no access rule"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(), table(read_descriptors())))
