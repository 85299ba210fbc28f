# syntax=docker/dockerfile:1
# One file, three images: `production` holds the four services and the console, `gateway` Envoy with its configuration; `local`, the default,
# holds all of that and the emulators.
# `docker run IMAGE services.auth` runs `python -m services.auth`.

# A tag moves. Pin it where images are built for production: --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:...
ARG PYTHON_IMAGE=python:3.13-slim
FROM ${PYTHON_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 PYTHONPATH=/app:/app/gen PATH=/app/.venv/bin:$PATH
WORKDIR /app

FROM base AS packages
COPY tools/uv-requirements.txt tools/
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r tools/uv-requirements.txt
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
COPY pyproject.toml uv.lock .python-version ./
COPY client/pyproject.toml client/
# As uv.lock has it: each package is checked against its hash.
RUN --mount=type=cache,target=/root/.cache/uv uv sync --frozen --no-install-project --no-default-groups --extra console

FROM packages AS generated
RUN --mount=type=cache,target=/root/.cache/uv uv sync --frozen --no-install-project --no-default-groups --group build
# The scripts of our web pages, from npm, by their hashes.
COPY tools/web_assets.py tools/web_assets.toml tools/
RUN python tools/web_assets.py gen/web
COPY tools/genproto.py tools/
COPY protos protos
RUN python tools/genproto.py

# What the gateway serves: OpenAPI.
FROM generated AS documents
COPY configs configs
COPY services services
COPY docs docs
COPY tools tools
RUN python -m tools.openapi >gen/openapi.json

FROM packages AS local-packages
RUN --mount=type=cache,target=/root/.cache/uv uv sync --frozen --no-install-project --no-default-groups --extra local --extra console

FROM base AS runtime
# Volumes that are mounted here take over the owner, so that a process without rights can write to them.
RUN useradd --uid 10001 --no-create-home --home-dir /data convergence \
    && install --directory --owner=convergence --mode=0700 /data /data/certs /data/azure /data/bigquery /data/kms /data/google_sts \
    /data/cache /data/spool
COPY --from=generated /app/gen gen
COPY configs configs
COPY services services
COPY console console
USER convergence
ENTRYPOINT ["python", "-m"]

FROM runtime AS production
ARG COMMIT=unknown
ENV CONVERGENCE_BUILD_COMMIT=${COMMIT}
COPY --from=packages /app/.venv .venv

FROM packages AS gateway-packages
RUN --mount=type=cache,target=/root/.cache/uv uv sync --frozen --no-install-project --no-default-groups --extra gateway

FROM base AS gateway
RUN useradd --uid 10001 --no-create-home --home-dir /config convergence && install --directory --owner=convergence --mode=0700 /config
COPY --from=gateway-packages /app/.venv .venv
COPY --from=documents /app/gen gen
COPY configs configs
COPY services services
COPY gateway gateway
ENV GATEWAY_CONFIG_OUT=/config/envoy.yaml GATEWAY_TLS_DIR=/etc/convergence/tls GATEWAY_LISTEN_HOST=0.0.0.0
USER convergence
ENTRYPOINT ["python", "-m", "gateway"]

FROM runtime AS local
COPY --from=local-packages /app/.venv .venv
COPY --from=documents /app/gen gen
COPY gateway gateway
COPY localcloud localcloud
