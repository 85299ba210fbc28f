"""Templates: ours can be loaded; a broken one is named with file and line, and only that one is missing."""

import re
import shutil
from pathlib import Path

import pytest

from services.executor.steps import STEP_TYPES
from services.executor.templates.catalog import Catalog, load_catalog
from tests.support.executor.tenant import BILLING


def test_ours(catalog: Catalog) -> None:
    template = catalog.templates[BILLING]
    assert [(step.id, step.type, step.needs, step.beside) for step in template.steps] == [
        ("extract", "gcp.bigquery_extract", (), None),
        ("checks", "dq.checks", ("extract",), None),
        ("publish", "bigquery.publish", ("checks",), None),
        ("focus_stage", "bigquery.sql", ("extract",), "publish"),
        ("focus_google", "gcp.focus_totals", ("extract",), "publish"),
        ("focus_conformance", "dq.checks", ("focus_stage", "focus_google"), "publish"),
        ("focus_publish", "bigquery.publish", ("focus_conformance", "publish"), None),
        ("focus_invoices", "dq.invoices", ("focus_publish",), None),
    ]
    dates = [("date", "date"), ("start_date", "date"), ("end_date", "date"), ("days", "choice"), ("history_days", "integer")]
    own = [*dates, ("export_table", "table"), ("accept_less", "boolean")]
    included = [("invoice_issuer", "string"), ("billing_account_name", "string"), ("compare_with_google", "boolean")]
    assert [(one.name, one.type) for one in template.parameters] == [*own, *included]


BROKEN = [
    ("timeout_seconds: 1800", "timeout_seconds: soon", "soon", "timeout_seconds must be a whole number"),
    ("timeout_seconds: 1800", "timeout: 1800", "timeout: 1800", "a template has no `timeout`"),
    ("timeout_seconds: 1800", "timeout_seconds: [1800", ":\n  date:", "expected"),
    ("    type: date", "    type: day", "day", "type is `day`, but must be one of boolean, choice, date"),
    ("    type: table", "    type: date\n    default: 2025-02-30", "2025-02-30", "the default of export_table does not fit"),
    ("    type: date", "    type: date\n    timezone: Mars/Base", "Mars/Base", "use a name of the IANA time zone database"),
    ("    type: date", "    type: date\n    timezone: Asia/Tokyo", "date:", "the days of a run are UTC days, so date has no timezone"),
    (
        "    type: date",
        "    type: date\n    scheduled: today",
        "date:",
        "today is never over, so it is no default of date",
    ),
    ("choices: [changed]", "choices: [changed, all]", "date:", "the parameter days has the one choice changed"),
    ("    ledger: {source: gcp, service: service_description}\n", "", "id: publish", "a publish in it needs `ledger`"),
    ("service: service_description", "service: cost", "cost}", "`cost` is no column of type STRING of billing_cost_daily"),
    ("include: focus", "include: nothing", "nothing", "there is no template nothing.yml beside this one"),
    ("prefix: focus_", "prefix: Focus_", "Focus_", "the prefix `Focus_` must be lower-case"),
    ("    type: date", "    type: date\n    choices: [a]", "[a]", "a parameter of type choice, and no other"),
    ("    type: table", "    type: choice", "choice", "a parameter of type choice, and no other"),
    ("  date:", "  Date:", "type: date", "the parameter `Date` must be lower-case"),
    ("  end_date:", "  other_date:", "date:", "start_date and end_date go together"),
    ("timeout_seconds: 1800", "timeout_seconds: 1800\noverlap: queue", "queue", "overlap is `queue`, but must be one of allow, refuse"),
    ("type: gcp.bigquery_extract", "type: gcp.nothing", "gcp.nothing", "type is `gcp.nothing`"),
    ("staging: x_staging_gcp_billing", "staging: x_other", "x_other", "staging is `x_other`"),
    ("  - id: checks", "  - id: extract", "extract\n    type: dq.checks", "the id `extract` occurs twice"),
    ("needs: [extract]", "needs: [publish]", "[publish]", "steps need each other in a cycle: checks -> publish -> checks"),
    ("billing.sql#billing_checks", "billing.sql#nothing", "billing.sql#nothing", "billing.sql has no block `nothing`"),
    ("billing.sql#billing_checks", "../cost/billing.sql#billing_checks", "../cost", "there is no file"),
    ("table: billing_cost_daily\n    checks", "table: elsewhere\n    checks", "elsewhere", "table is `elsewhere`"),
    ("needs: [extract]", "needs: [nothing]", "[nothing]", "it needs `nothing`, which is no step of this template"),
    (
        "needs: [extract]",
        "needs: [extract]\n    when: always",
        "[checks]",
        "it needs `checks`, which runs after all others: it is `when: always`",
    ),
    ("severity: warn", "severity: loud", "loud", "severity is `loud`"),
    ("needs: [checks]", "needs: [checks]\n    when: sometimes", "sometimes", "when is `sometimes`"),
    (
        "    timeout_seconds: 1500",
        "    timeout_seconds: 1500\n    timeout_seconds: 1",
        "timeout_seconds: 1\n",
        "timeout_seconds occurs twice",
    ),
]
"""What stands in a template of ours, what in its place breaks it, the text where the fault is, and what is said of it."""


def test_a_broken_template_is_named_with_file_line_and_column(configs: Path) -> None:
    """The place is where the wrong thing stands. The other template of the folder goes on working."""
    good = (configs / "gcp/cost/billing.yml").read_text()
    assert [old for old, _, _, _ in BROKEN if old not in good] == []
    texts = {f"gcp/cost/broken_{number}.yml": good.replace(old, new, 1) for number, (old, new, _, _) in enumerate(BROKEN)}
    for source, text in texts.items():
        (configs / source).write_text(text)

    catalog = load_catalog(configs, STEP_TYPES)

    assert BILLING in catalog.templates
    assert set(catalog.broken) == set(texts)
    for (source, text), (_, new, at, message) in zip(texts.items(), BROKEN, strict=True):
        error = str(catalog.broken[source])
        place = re.match(rf"{re.escape(source)}:(\d+):(\d+): ", error)
        assert place, error
        line, column = int(place[1]), int(place[2])
        assert "".join(text.splitlines(keepends=True)[line - 1 :])[column - 1 :].startswith(at), (new, error)
        assert message in error, new


def test_a_step_cannot_ask_for_what_no_step_before_it_finds_out(configs: Path) -> None:
    """The SQL of a step declares @source_rows, but the step that finds it out is gone."""
    text = (configs / "gcp/cost/billing.yml").read_text()
    head, rest = re.sub(r"  days:\n.*?(?=  history_days:)", "", text, flags=re.DOTALL).split("  - id: extract")
    publish = rest[rest.index("  - id: publish") :].replace("    needs: [checks]\n", "", 1)
    sql = (configs / "gcp/cost/billing.sql").read_text()
    (configs / "gcp/cost/billing.sql").write_text(sql.replace("name: billing_rows", "name: billing_rows\n-- param: source_rows INT64"))
    (configs / "gcp/cost/broken.yml").write_text(head + publish[: publish.index("    ledger:")])
    error = load_catalog(configs, STEP_TYPES).broken["gcp/cost/broken.yml"]
    assert "block billing_rows declares @source_rows INT64, which is not known here" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a list",
        "\t",
        "\x00",
        "a: &x [*x]",
        "parameters: {{date}}",
        "? [a]\n: b",
        "timeout_seconds: !!int ''",
        "description: !!bool zz",
    ],
)
def test_what_is_no_template_at_all(configs: Path, text: str) -> None:
    (configs / "gcp/cost/broken.yml").write_text(text)
    assert str(load_catalog(configs, STEP_TYPES).broken["gcp/cost/broken.yml"]).startswith("gcp/cost/broken.yml:")


def test_a_badly_named_file_is_no_template(configs: Path) -> None:
    shutil.copy(configs / "gcp/cost/billing.yml", configs / "gcp/cost/My-Billing.yml")
    assert "lower-case" in str(load_catalog(configs, STEP_TYPES).broken["gcp/cost/My-Billing.yml"])
