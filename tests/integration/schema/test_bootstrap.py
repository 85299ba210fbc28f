"""The bootstrap over tables of an older release: what there is stays, one of several works, one that died is replaced."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from services.platform import bootstrap as command
from services.platform.bigquery.client import BigQuery
from services.platform.bootstrap import bootstrap, preview
from services.platform.errors import Unavailable
from services.platform.schema.lock import LockLost, SchemaLock
from services.platform.settings import ServiceSettings
from tests.support.upgrade.old_tables import CONTROL_ROWS, OldIds, insert, make_control

type Rows = Callable[[str], list[dict[str, Any]]]
TABLES = ("tenant_profiles", "tenant_subscriptions", "tenant_api_keys", "tenant_usage_quotas", "tenant_pipeline_configs")
IDS = OldIds.of("old_tenant", api_key_hash="a" * 64)


@pytest.fixture
def old(service_settings: ServiceSettings, request: pytest.FixtureRequest) -> ServiceSettings:
    """Settings of a control dataset that does not exist yet."""
    return service_settings.model_copy(update={"control_dataset": f"old_{abs(hash(request.node.name)) % 10**8}"})


async def test_an_old_dataset_gets_what_it_lacks_and_keeps_its_rows(old: ServiceSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once: one changes it, the other finds nothing left. The dry run before says all of it, and does none."""
    async with BigQuery(old, service="tests") as bq:
        make_control(bq.client, bq.control())
        insert(bq.client, bq.control(), CONTROL_ROWS, IDS)
        bq.client.query_and_wait(f"UPDATE `{bq.control()}.tenant_profiles` SET status = 'OFFBOARDED' WHERE tenant_id = 'gone_tenant'")

        def rows(table: str) -> list[dict[str, Any]]:
            return [dict(row.items()) for row in bq.client.query_and_wait(f"SELECT * FROM `{bq.control()}.{table}` ORDER BY tenant_id")]

        before = {table: rows(table) for table in TABLES}
        announced = [change.what for change in await preview(old, bq)]
        assert {table.table_id for table in bq.client.list_tables(bq.control())}.isdisjoint({"schema_state", "audit_log"})
        monkeypatch.setattr("services.platform.schema.lock.LOOK_SECONDS", 0.1)

        done = await asyncio.gather(*(bootstrap(old, bq) for _ in range(2)))

        made = max(done, key=len)
        assert ["schema_state", *made] == sorted(announced, key=lambda what: what != "schema_state")
        assert min(done, key=len) == []
        assert await preview(old, bq) == [] == await bootstrap(old, bq)
        for table in TABLES:
            after = rows(table)
            assert [{name: row[name] for name in row if name in before[table][0]} for row in after] == before[table], table
            assert {str(row[name]) for row in after for name in row.keys() - before[table][0].keys()} <= {"None", "[]"}, table
        # Two rows that are the same, if the emulator has made the table twice at once.
        state = next(iter(bq.client.query_and_wait(f"SELECT * FROM `{bq.control()}.schema_state`")))
        assert (state.version, state.locked_by, [one["version"] for one in state.applied]) == (1, None, [1])
        assert [(row["tenant_id"], row["keys_revoked"]) for row in rows("tenant_offboardings")] == [("gone_tenant", None)]
        expires = {name: bq.client.get_table(f"{bq.control()}.{name}").time_partitioning.expiration_ms for name in ("tenant_runs",)}
        assert expires == {"tenant_runs": 90 * 86_400_000}


async def test_a_holder_that_died_is_replaced_and_learns_it(old: ServiceSettings) -> None:
    async with BigQuery(old, service="tests") as bq:
        bq.client.create_dataset(bq.control())
        sql = (old.configs_dir / "bigquery" / "control" / "schema_state.sql").read_text()
        state = f"`{bq.control()}.schema_state`"
        bq.client.query_and_wait(sql.replace("schema_state (", f"{state} ("))
        dead, late, other = SchemaLock(bq), SchemaLock(bq, wait_seconds=0.0), SchemaLock(bq, wait_seconds=0.0)
        await dead.__aenter__()

        with pytest.raises(Unavailable, match="still at work"):
            await late.__aenter__()
        bq.client.query_and_wait(f"UPDATE {state} SET lease_expires_at = TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 SECOND) WHERE TRUE")
        async with other:
            await other.record(1, "v1_x")
            await other.record(1, "v1_x")  # its answer was lost
            with pytest.raises(LockLost):
                await dead.record(2, "v2_x")
            await dead.__aexit__(None, None, None)  # releases nothing that is not its own
            [row] = bq.client.query_and_wait(f"SELECT version, locked_by IS NULL AS is_free, ARRAY_LENGTH(applied) AS applied FROM {state}")
            assert (row.version, row.is_free, row.applied) == (1, False, 1)
        assert await late.read_version() == 1
        async with late:
            pass


async def test_a_dry_run_prints_the_statements(
    old: ServiceSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "ServiceSettings", lambda: old)
    # It would log to what is captured here, in later tests, too.
    monkeypatch.setattr("services.platform.log.configure", lambda *_, **__: None)
    await command.main(["--dry-run"])
    printed = capsys.readouterr().out
    assert "-- tenant_profiles\nCREATE TABLE IF NOT EXISTS tenant_profiles (" in printed
    assert "-- runnable_tenants\nCREATE OR REPLACE VIEW" in printed
    assert "-- v1_proofs_of_earlier_offboardings\nINSERT INTO tenant_offboardings" in printed
    async with BigQuery(old, service="tests") as bq:
        assert old.control_dataset not in {dataset.dataset_id for dataset in bq.client.list_datasets()}
