"""How the spans of calls are named, and what they say (OpenTelemetry's semantic conventions for RPC, and for databases)."""

from typing import Final

from services.platform.tracing.tracer import Attributes

JOB_ID: Final = "bigquery.job_id"


def of_rpc(path: str) -> tuple[str, Attributes]:
    """Of an RPC by its path: the name `package.Service/Method`, and attributes."""
    name = path.removeprefix("/")
    return name, {"rpc.system.name": "grpc", "rpc.method": name}


def of_bigquery(what: str) -> tuple[str, Attributes]:
    """Of what is asked of BigQuery: the name of a statement of ours, of a call, or of a job's part."""
    return f"bigquery {what}", {"db.system.name": "gcp.bigquery", "db.operation.name": what}
