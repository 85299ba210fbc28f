"""The processes of the stack, in the order they are started."""

import sys
from collections.abc import Mapping

from localcloud.cloud_scheduler.scheduler import READY
from localcloud.processes.environment import client_environment, service_environment
from localcloud.processes.process import Process
from localcloud.processes.readiness import gateway_ready, grpc_serving, http_answers, https_answers, log_says
from localcloud.settings import ENV_PREFIX, SERVICES, LocalSettings

PYTHON = (sys.executable, "-m")
PROCESSES = ("bigquery", "kms", "bootstrap", *SERVICES, "gateway", "cloud_scheduler")
TENANT_CLOUDS = ("aws", "azure", "google_sts")
"""The emulators of tenants' clouds, besides BigQuery."""
WITH_SAMPLE = (*TENANT_CLOUDS, *PROCESSES, "sample")
ALL = (*TENANT_CLOUDS, *PROCESSES, "console", "sample")
"""The processes that `make up` starts."""
# Which services a service calls.
CALLS = {"auth": (), "credentials": ("auth",), "executor": ("auth", "credentials"), "scheduler": ("auth", "executor")}
# Which tenants' clouds a service calls.
CLOUDS = {"credentials": TENANT_CLOUDS, "executor": TENANT_CLOUDS}


def make_process(settings: LocalSettings, name: str, *, admin_key: str, extra: Mapping[str, str] | None = None) -> Process:
    """One of `ALL`. `extra` adds to its environment or overrides it. Raises `ValueError` for another name."""
    plain = {
        "bigquery": _bigquery,
        "kms": _kms,
        "aws": _aws,
        "azure": _azure,
        "google_sts": _google_sts,
        "gateway": _gateway,
        "console": _console,
        "sample": _sample,
    }
    match name:
        case _ if name in plain:
            return plain[name](settings, extra or {})
        case "bootstrap":
            environment = {**service_environment(settings, admin_key=admin_key), **(extra or {})}
            return Process(name=name, command=(*PYTHON, "services.platform.bootstrap"), environment=environment, needs=("bigquery", "kms"))
        case "cloud_scheduler":
            return _cloud_scheduler(settings, admin_key, extra or {})
        case _ if name in SERVICES:
            return service(settings, name, admin_key=admin_key, extra=extra)
        case _:
            raise ValueError(f"no process is called {name!r}; there are {', '.join(ALL)}")


def service(  # noqa: PLR0913 - what one replica of a service differs in from another
    settings: LocalSettings,
    name: str,
    *,
    admin_key: str,
    replica: int = 0,
    port: int | None = None,
    metrics_port: int | None = None,
    extra: Mapping[str, str] | None = None,
) -> Process:
    """One of the four services. `replica` > 0 is a further process of it, `{name}-{replica}`, which needs ports of its own."""
    port, metrics_port = port or settings.port(name), metrics_port or settings.port(f"{name}_metrics")
    listen = {"CONVERGENCE_LISTEN": f"{settings.host}:{port}", "CONVERGENCE_METRICS_PORT": str(metrics_port)}
    return Process(
        name=f"{name}-{replica}" if replica else name,
        command=(*PYTHON, f"services.{name}"),
        environment={**service_environment(settings, admin_key=admin_key), **listen, **(extra or {})},
        ports={_variable(f"{name}_port"): port, _variable(f"{name}_metrics_port"): metrics_port},
        needs=("bigquery", "kms", "bootstrap"),
        uses=(*CALLS[name], *CLOUDS.get(name, ())),
        ready=grpc_serving(settings.host, port, tls_dir=settings.certs_dir, server_name=f"{name}.convergence.internal"),
    )


def _bigquery(settings: LocalSettings, extra: Mapping[str, str]) -> Process:
    options: dict[str, object] = {
        "--host": settings.host,
        "--port": settings.bigquery_port,
        "--storage-port": settings.bigquery_storage_port,
        "--data-dir": settings.state_dir / "bigquery",
        "--home": settings.cache_dir / "duckdb-home",
        "--project": settings.project,
        "--google-sts": f"http://{settings.address('google_sts')}",
    }
    if settings.bigquery_threads:
        options["--threads"] = settings.bigquery_threads
    return Process(
        name="bigquery",
        command=_command("localcloud.bigquery", options),
        environment=extra,
        ports=_ports(settings, "bigquery", "bigquery_storage"),
        ready=http_answers(f"http://{settings.address('bigquery')}/"),
    )


def _kms(settings: LocalSettings, extra: Mapping[str, str]) -> Process:
    options = {
        "--host": settings.host,
        "--port": settings.kms_port,
        "--data-dir": settings.state_dir / "kms",
        "--key": settings.kms_key,
        "--signing-key": settings.signing_key,
    }
    return Process(
        name="kms",
        command=_command("localcloud.kms", options),
        environment=extra,
        ports=_ports(settings, "kms"),
        ready=grpc_serving(settings.host, settings.kms_port),
    )


def _google_sts(settings: LocalSettings, extra: Mapping[str, str]) -> Process:
    options = {"--host": settings.host, "--port": settings.google_sts_port, "--data-dir": settings.state_dir / "google_sts"}
    return Process(
        name="google_sts",
        command=_command("localcloud.google_sts", options),
        environment=extra,
        ports=_ports(settings, "google_sts"),
        ready=http_answers(f"http://{settings.address('google_sts')}/.well-known/jwks.json"),
    )


def _aws(settings: LocalSettings, extra: Mapping[str, str]) -> Process:
    return Process(
        name="aws",
        command=_command("localcloud.aws", {"--host": settings.host, "--port": settings.aws_port}),
        environment=extra,
        ports=_ports(settings, "aws"),
        ready=http_answers(f"http://{settings.address('aws')}/favicon.ico"),
    )


def _azure(settings: LocalSettings, extra: Mapping[str, str]) -> Process:
    options = {
        "--host": settings.host,
        "--port": settings.azure_port,
        "--data-dir": settings.state_dir / "azure",
        "--certs-dir": settings.certs_dir,
    }
    return Process(
        name="azure",
        command=_command("localcloud.azure", options),
        environment=extra,
        ports=_ports(settings, "azure"),
        ready=https_answers(f"https://{settings.address('azure')}/_admin/requests", settings.certs_dir / "ca.pem"),
    )


def _gateway(settings: LocalSettings, extra: Mapping[str, str]) -> Process:
    upstreams = {f"GATEWAY_{name.upper()}_HOST": settings.host for name in SERVICES}
    upstreams |= {f"GATEWAY_{name.upper()}_PORT": str(settings.port(name)) for name in SERVICES}
    environment = {
        "GATEWAY_LISTEN_HOST": settings.host,
        "GATEWAY_LISTEN_PORT": str(settings.gateway_port),
        "GATEWAY_ADMIN_PORT": str(settings.envoy_admin_port),
        "GATEWAY_STATS_PORT": str(settings.gateway_metrics_port),
        "GATEWAY_TLS_DIR": str(settings.certs_dir),
        "GATEWAY_CONFIG_OUT": str(settings.state_dir / "envoy.yaml"),
    }
    return Process(
        name="gateway",
        command=(*PYTHON, "gateway"),
        environment={**upstreams, **environment, **extra},
        ports=_ports(settings, "gateway", "envoy_admin", "gateway_metrics"),
        needs=SERVICES,
        ready=gateway_ready(f"http://{settings.address('gateway')}", f"http://{settings.address('envoy_admin')}"),
    )


def _console(settings: LocalSettings, extra: Mapping[str, str]) -> Process:
    environment = {
        "CONSOLE_GATEWAY_URL": f"http://{settings.address('gateway')}",
        "CONSOLE_LISTEN_HOST": settings.host,
        "CONSOLE_LISTEN_PORT": str(settings.console_port),
        "CONSOLE_COOKIE_SECURE": "false",
    }
    return Process(
        name="console",
        command=(*PYTHON, "console"),
        environment={**environment, **extra},
        ports=_ports(settings, "console"),
        # Without the gateway it starts all the same: its pages say that the API is away.
        uses=("gateway",),
        ready=http_answers(f"http://{settings.address('console')}/healthz"),
    )


def _cloud_scheduler(settings: LocalSettings, admin_key: str, extra: Mapping[str, str]) -> Process:
    options: dict[str, object] = {} if settings.scheduler_every is None else {"--every": settings.scheduler_every}
    environment = {**client_environment(settings, admin_key=admin_key), **extra}
    if settings.scheduler_oidc:
        options["--account"] = settings.scheduler_account
        options["--accounts-url"] = f"http://{settings.address('google_accounts')}"
        options["--key-file"] = settings.state_dir / "cloud_scheduler" / "key.pem"
        # It has no key to fall back on.
        environment.pop("ADMIN_API_KEY")
    return Process(
        name="cloud_scheduler",
        command=_command("localcloud.cloud_scheduler", options),
        environment=environment,
        ports=_ports(settings, "google_accounts") if settings.scheduler_oidc else {},
        needs=("gateway",),
        ready=log_says(settings.logs_dir / "cloud_scheduler.log", READY),
    )


def _sample(settings: LocalSettings, extra: Mapping[str, str]) -> Process:
    options = {
        "--bigquery-host": f"http://{settings.address('bigquery')}",
        "--rows": settings.sample_rows,
        "--credentials": settings.sample_credentials,
        "--aws-host": f"http://{settings.address('aws')}",
        "--aws-credentials": settings.sample_aws_credentials,
        "--azure-host": f"https://{settings.address('azure')}",
        "--azure-ca": settings.certs_dir / "ca.pem",
        "--azure-credentials": settings.sample_azure_credentials,
        "--google-sts": f"http://{settings.address('google_sts')}",
        "--issuer": f"http://{settings.address('gateway')}",
    }
    needs = ("bigquery", *TENANT_CLOUDS)
    return Process(name="sample", command=_command("localcloud.sample", options), environment=extra, needs=needs)


def _command(module: str, options: Mapping[str, object]) -> tuple[str, ...]:
    return (*PYTHON, module, *(str(word) for option in options.items() for word in option))


def _ports(settings: LocalSettings, *names: str) -> dict[str, int]:
    return {_variable(f"{name}_port"): settings.port(name) for name in names}


def _variable(setting: str) -> str:
    return f"{ENV_PREFIX}{setting.upper()}"
