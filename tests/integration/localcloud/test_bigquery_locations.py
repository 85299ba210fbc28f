"""The emulator holds jobs to their location, with BigQuery's own answers."""

import io
from collections.abc import Iterator

import pytest
from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from localcloud.stack import Stack

PROJECT, REGION = "places", "europe-west1"
ELSEWHERE = r"Dataset places:\w+ was not found in location {}"


@pytest.fixture(scope="module")
def client(own_emulators: Stack) -> Iterator[bigquery.Client]:
    """A dataset in each of three locations, with a table `t`. The client names no location of its own."""
    host = own_emulators.env["BIGQUERY_EMULATOR_HOST"]
    with bigquery.Client(PROJECT, AnonymousCredentials(), client_options={"api_endpoint": host}) as client:  # type: ignore[no-untyped-call]
        for name, location in (("in_us", "US"), ("in_eu", "EU"), ("in_region", REGION)):
            dataset = bigquery.Dataset(f"{PROJECT}.{name}")
            dataset.location = location
            client.create_dataset(dataset)
            client.create_table(bigquery.Table(f"{PROJECT}.{name}.t", [bigquery.SchemaField("id", "INTEGER")]))
        yield client


def test_tables_are_where_their_dataset_is(client: bigquery.Client) -> None:
    assert client.get_table(f"{PROJECT}.in_us.t").location == "US"
    assert client.get_table(f"{PROJECT}.in_region.t").location == REGION


def test_a_view_is_made_where_its_dataset_is(client: bigquery.Client) -> None:
    """By no job of anybody's."""
    view = bigquery.Table(f"{PROJECT}.in_region.v")
    view.view_query = "SELECT id FROM `places.in_region.t`"
    assert client.create_table(view).location == REGION
    assert client.query_and_wait("SELECT id FROM `places.in_region.v`", location=REGION).location == REGION


@pytest.mark.parametrize("sql", ["SELECT id FROM t", "INSERT INTO t (id) VALUES (1)", "SELECT id FROM `places.in_region.t`"])
def test_a_query_sees_its_own_location_only(client: bigquery.Client, sql: str) -> None:
    """Both ways of sending one. The answer says where the job is, so that its rows are found."""
    config = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.in_region")
    assert client.query_and_wait(sql, job_config=config, location=REGION).location == REGION
    assert client.query(sql, job_config=config, location=REGION.upper()).result().total_rows is not None
    for wrong in ("US", "EU"):
        with pytest.raises(NotFound, match=ELSEWHERE.format(wrong)):
            client.query_and_wait(sql, job_config=config, location=wrong)
        with pytest.raises(NotFound, match=ELSEWHERE.format(wrong)):
            client.query(sql, job_config=config, location=wrong).result()
    with pytest.raises(NotFound, match=ELSEWHERE.format("US")):
        client.query(sql, job_config=bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.in_region", dry_run=True), location="US")


def test_a_query_that_names_no_location_runs_where_its_datasets_are(client: bigquery.Client) -> None:
    assert client.query("SELECT id FROM `places.in_eu.t`").location == "EU"
    with pytest.raises(NotFound, match=ELSEWHERE.format("EU")):
        client.query_and_wait("SELECT e.id FROM `places.in_eu.t` AS e JOIN `places.in_us.t` AS u ON u.id = e.id")


def test_a_script_and_a_merge_see_their_own_location_only(client: bigquery.Client) -> None:
    script = "DECLARE n INT64 DEFAULT 0; SET n = (SELECT COUNT(*) FROM `places.in_us.t`); SELECT n"
    merge = "MERGE `places.in_eu.t` AS t USING `places.in_us.t` AS s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)"
    for sql in (script, merge):
        with pytest.raises(NotFound, match=ELSEWHERE.format("EU")):
            client.query_and_wait(sql, location="EU")


def test_a_load_sees_its_own_location_only(client: bigquery.Client) -> None:
    config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON")

    def load(location: str | None) -> bigquery.LoadJob:
        job = client.load_table_from_file(io.BytesIO(b'{"id": 7}'), f"{PROJECT}.in_region.t", job_config=config, location=location)
        job.result()
        return job

    assert load(REGION).location == load(None).location == REGION
    with pytest.raises(NotFound, match=ELSEWHERE.format("EU")):
        load("EU")


def test_a_job_is_found_in_its_location_only(client: bigquery.Client) -> None:
    """Without a location those in US and EU are found, too."""
    regional, european = client.query("SELECT 1", location=REGION), client.query("SELECT 1", location="EU")
    regional.result()
    european.result()
    assert client.get_job(regional.job_id, location=REGION).location == REGION
    assert client.get_job(european.job_id).location == "EU"
    for missing in ((regional, None), (regional, "US"), (european, "US")):
        with pytest.raises(NotFound, match="Job"):
            client.get_job(missing[0].job_id, location=missing[1])
        with pytest.raises(NotFound, match="Job"):
            client.cancel_job(missing[0].job_id, location=missing[1])
