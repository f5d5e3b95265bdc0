# One image for the code server, the web server and the daemon: `oms serve code|web|daemon`.
#
# The tag is for people, the digest is what is used.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

FROM ${PYTHON_IMAGE} AS build
WORKDIR /opt/oms
RUN python3 -m venv --without-pip /opt/venv
COPY pyproject.toml requirements.lock ./
COPY deploy/docker/runtime_lock.py deploy/docker/
# Which extras of pyproject.toml are in the image; runs on Kubernetes also take `kubernetes`.
ARG EXTRAS="postgres snowflake"
# Modules are compiled here: the image is read-only, and a day starts seconds sooner.
# hadolint ignore=SC2086
RUN python3 deploy/docker/runtime_lock.py $EXTRAS > runtime.lock \
    && python3 -m pip --python /opt/venv/bin/python install \
        --no-cache-dir --require-hashes --no-deps --requirement runtime.lock \
    && rm runtime.lock
# Half of a library that is imported for its other half: headers, tests, and a server.
RUN pyarrow=$(echo /opt/venv/lib/python3.*/site-packages/pyarrow) \
    && rm -rf "$pyarrow/include" "$pyarrow/src" "$pyarrow/tests" "$pyarrow"/libarrow_flight.* "$pyarrow"/_flight.*
COPY . .
# The code is used where it lies, as in a checkout.
RUN echo /opt/oms > "$(echo /opt/venv/lib/python3.*/site-packages)/oms.pth" \
    && printf '#!/opt/venv/bin/python\nfrom oms_pipeline.cli import run\n\nrun()\n' > /opt/venv/bin/oms \
    && chmod 0755 /opt/venv/bin/oms \
    && /opt/venv/bin/python -m compileall -q oms_pipeline
# dbt's project is parsed here, not whenever a container starts; one that does not parse makes no image.
RUN OMS_HOME=/tmp/home /opt/venv/bin/python -c "import oms_pipeline.definitions" \
    && mkdir oms_dbt/target \
    && mv /tmp/home/dbt/local/target oms_dbt/target/local \
    && rm -rf /tmp/home

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="OMS Pipeline" \
    org.opencontainers.image.description="Yesterday's orders in the warehouse every morning" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin oms \
    # A new volume takes over who owns these.
    && install --directory --owner=10001 --group=10001 /var/lib/oms /var/lib/oms-secrets \
        /var/lib/oms-secrets/databases /var/lib/oms-secrets/pipeline /var/lib/oms-secrets/metabase
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/oms /opt/oms
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    OMS_HOME=/var/lib/oms \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /opt/oms
EXPOSE 3000
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python", "deploy/docker/healthy.py", "web"]
# No entry point: launchers of ECS and Kubernetes give the whole command.
CMD ["oms", "serve", "web"]
