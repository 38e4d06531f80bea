# Customhouse in a container: docs/operations/install.md says how to use it. Build with BuildKit (the usual) or Podman.
#
# The version of Python is the one everything is tested under; a digest may be named instead to build the same base again.
ARG PYTHON=3.11-slim-bookworm

# ---- what is installed, and the tools for it, which stay here -------------------------------------------------------
FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements.lock pyproject.toml ./
COPY packaging/locked.py packaging/
# Wheels only: nothing is compiled, no package runs its own build script. Every file is held to its hash.
RUN python packaging/locked.py > runtime.txt \
 && python packaging/locked.py hatchling > build.txt \
 && python -m venv /opt/customhouse \
 && /opt/customhouse/bin/python -m pip install --only-binary=:all: --require-hashes -r runtime.txt \
 && python -m venv tools \
 && tools/bin/python -m pip install --only-binary=:all: --require-hashes -r build.txt
COPY README.md LICENSE ./
COPY src src
RUN tools/bin/python -m pip wheel . --no-deps --no-build-isolation --wheel-dir dist \
 && /opt/customhouse/bin/python -m pip install --no-deps --no-index dist/*.whl \
 && /opt/customhouse/bin/python -m pip check \
 && /opt/customhouse/bin/python -m pip uninstall --yes --quiet pip setuptools
COPY packaging/docker/health.py /opt/customhouse/health.py

# ---- what runs ------------------------------------------------------------------------------------------------------
FROM python:${PYTHON}
LABEL org.opencontainers.image.title="Customhouse" \
      org.opencontainers.image.description="Self-hosted event tracking in which every acknowledged event is accounted for." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 customhouse \
 && useradd --system --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin customhouse \
 && install -d -o 10001 -g 10001 -m 0750 /workspace /data
COPY --from=build /opt/customhouse /opt/customhouse
# The door listens on every address of the container: which of them the world reaches, `--publish` says. The console
# stays on 127.0.0.1 until its configuration names another host, which it allows only with a password or a token.
ENV PATH=/opt/customhouse/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CUSTOMHOUSE_WORKSPACE=/workspace \
    CUSTOMHOUSE_DATA=/data \
    CUSTOMHOUSE_HOST=0.0.0.0
WORKDIR /workspace
VOLUME ["/workspace", "/data"]
EXPOSE 8080 8081
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["python", "/opt/customhouse/health.py"]
ENTRYPOINT ["customhouse"]
CMD ["run"]
