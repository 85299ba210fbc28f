"""ZetaSQL, configured to be as close to BigQuery as possible."""

from collections.abc import Iterable, Mapping

from zetasql.api import Analyzer, CatalogBuilder, TableBuilder
from zetasql.types import (
    AnalyzerOptions,
    ErrorMessageMode,
    LanguageFeature,
    LanguageOptions,
    ParseLocationRecordType,
    ProductMode,
    SimpleCatalog,
    Type,
    ZetaSQLBuiltinFunctionOptions,
)

from services.platform.bigquery.ddl import Table, View
from tools.check_sql.wasm import make_quick

make_quick()

# Features of ZetaSQL that BigQuery lacks.
NOT_IN_BIGQUERY = frozenset({LanguageFeature.FEATURE_DML_RETURNING, LanguageFeature.FEATURE_JSON_TYPE_COMPARISON})


def _language() -> LanguageOptions:
    language = LanguageOptions.maximum_features()
    language.product_mode = ProductMode.PRODUCT_EXTERNAL
    language.enabled_language_features = [one for one in language.enabled_language_features if one not in NOT_IN_BIGQUERY]
    # None means queries only, an empty list every kind of statement.
    language.supported_statement_kinds = []
    language.reserved_keywords = ["QUALIFY"]
    return language


LANGUAGE = _language()


def catalog(tables: Iterable[Table | View] = ()) -> SimpleCatalog:
    """Our tables and BigQuery's functions."""
    builder = CatalogBuilder("convergence")
    for table in tables:
        columns = TableBuilder(table.name)
        for name, kind in table.columns.items():
            columns.add_column(name, type_of(kind))
        builder.add_table(columns.build())
    return builder.with_builtin_functions(ZetaSQLBuiltinFunctionOptions(language_options=LANGUAGE)).build()


def options(params: Mapping[str, str]) -> AnalyzerOptions:
    """Declared parameters with their types; any other is an error."""
    return AnalyzerOptions(
        language_options=LANGUAGE,
        error_message_mode=ErrorMessageMode.ERROR_MESSAGE_ONE_LINE,
        parse_location_record_type=ParseLocationRecordType.PARSE_LOCATION_RECORD_FULL_NODE_SCOPE,
        query_parameters=[AnalyzerOptions.QueryParameter(name=name.lower(), type=type_of(kind)) for name, kind in params.items()],
        system_variables=[AnalyzerOptions.SystemVariable(name_path=["row_count"], type=type_of("INT64"))],
    )


_types: dict[str, Type] = {}


def type_of(kind: str) -> Type:
    """ZetaSQL's type for a GoogleSQL type name. Raises zetasql's ServerError for an unknown name."""
    if kind not in _types:
        plain = AnalyzerOptions(language_options=LANGUAGE)
        _types[kind] = Analyzer(plain, _functions).analyze_expression(f"CAST(NULL AS {kind})").type
    return _types[kind]


_functions = catalog()
