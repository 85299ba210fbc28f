"""Has ZetaSQL analyze statements.

Its Python client sends the whole catalog with each statement, and makes a Python object of each node of the answer. Here a catalog is
sent once and named by its number afterwards, and what is asked of the answer is read from the message that came.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from zetasql.core.local_service import ZetaSqlLocalService
from zetasql.types import AnalyzerOptions, ProtoModel, RegisterCatalogRequest, SimpleConstant, Type, parse_proto
from zetasql.wasi._pb2.zetasql.local_service.local_service_pb2 import AnalyzeRequest, AnalyzeResponse, RegisterResponse

from services.platform.bigquery.ddl import Table, View
from tools.check_sql.language import catalog

_TREE = ("Resolved", "AnyResolved")


@dataclass(frozen=True, kw_only=True, slots=True)
class Analyzed:
    """What ZetaSQL made of a statement or an expression, as a message of `resolved_ast.proto`."""

    message: Message

    @property
    def tree(self) -> ProtoModel:
        """All of it as Python objects, which takes some 100 ms for a long query."""
        return parse_proto(self.message)

    def correlated_subqueries(self) -> Iterator[ProtoModel]:
        """The outermost ResolvedSubqueryExpr that name columns of the statement around them."""
        for one in _correlated_subqueries(self.message):
            yield parse_proto(one)

    def correlated_in_merge(self) -> Iterator[int]:
        """Of a MERGE: where a correlated subquery of its conditions and clauses begins, a byte offset."""
        node: Any = self.message
        while kind := node.WhichOneof("node") if "node" in node.DESCRIPTOR.oneofs_by_name else None:
            node = getattr(node, kind)
        if node.DESCRIPTOR.name == "ResolvedMergeStmtProto":
            for part in (node.merge_expr, *node.when_clause_list):
                for one in _correlated_subqueries(part):
                    yield parse_proto(one).parse_location_range.start


class Tables:
    """Tables and views, and beside them a script's variables."""

    def __init__(self, tables: Iterable[Table | View]) -> None:
        self._service = ZetaSqlLocalService.get_instance()
        self._request = RegisterCatalogRequest(simple_catalog=catalog(tables)).to_proto()
        self._bare = self._register({})

    def analyze(self, text: str, options: AnalyzerOptions, variables: Mapping[str, Type], *, is_expression: bool) -> Analyzed:
        """Raises zetasql's ServerError for what is wrong, with its place in `text`."""
        # Most statements name none, and a catalog of their own takes twice their time.
        named = {name: kind for name, kind in variables.items() if name.lower() in text.lower()}
        number = self._register(named) if named else self._bare
        try:
            request = AnalyzeRequest(options=options.to_proto(), registered_catalog_id=number)
            setattr(request, "sql_expression" if is_expression else "sql_statement", text)
            answer = self._service.wasm_client.call_grpc_func("ZetaSqlLocalService_Analyze", request, AnalyzeResponse)
        finally:
            if named:
                self._service.unregister_catalog(registered_id=number)
        return Analyzed(message=answer.resolved_expression if is_expression else answer.resolved_statement)

    def _register(self, variables: Mapping[str, Type]) -> int:
        request = type(self._request)()
        request.CopyFrom(self._request)
        request.simple_catalog.constant.extend(SimpleConstant(name_path=[name], type=kind).to_proto() for name, kind in variables.items())
        answer = self._service.wasm_client.call_grpc_func("ZetaSqlLocalService_RegisterCatalog", request, RegisterResponse)
        return int(answer.registered_id)


def _correlated_subqueries(node: Any) -> Iterator[Message]:
    if node.DESCRIPTOR.name == "ResolvedSubqueryExprProto" and node.parameter_list:
        yield node
        return
    for field, value in node.ListFields():
        if field.message_type and field.message_type.name.startswith(_TREE):
            for child in (value,) if isinstance(value, Message) else value:
                yield from _correlated_subqueries(child)
