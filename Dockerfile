# Two images: the default has all commands in one, of which `dev` is the default, for one machine;
# `--target server` is that of webserver, daemon, code server and runs (deploy/). docs/deploy.md says
# how they are run.
FROM python:3.12-slim AS source
WORKDIR /source
COPY constraints.txt constraints-scale.txt setup.py pyproject.toml dagster.yaml LICENSE ./
COPY harvest_pipeline harvest_pipeline
# As `make` does it: only files that the lock knows by their hashes, and the package as it is here.
RUN sed -n '/^uv==/,/[^\\]$/p' constraints.txt > uv.txt \
 && pip install --no-cache-dir --require-hashes -r uv.txt \
 && uv venv /app

FROM source AS build
RUN uv pip install --no-cache --python /app --constraint constraints.txt setuptools \
 && uv pip install --no-cache --python /app --constraint constraints.txt \
      --no-build-isolation --compile-bytecode .

FROM source AS build-server
RUN uv pip install --no-cache --python /app --constraint constraints-scale.txt setuptools \
 && uv pip install --no-cache --python /app --constraint constraints-scale.txt \
      --no-build-isolation --compile-bytecode ".[ducklake,shared,server]"

FROM python:3.12-slim AS base
RUN useradd --uid 1000 --create-home harvest \
 && install -d -o harvest -m 700 /harvest /dagster
# Settings (.env, harvest.yaml), connected accounts, data/ and .dagster/ are all in the volume.
ENV PATH="/app/bin:$PATH"
USER harvest
WORKDIR /harvest
VOLUME /harvest

# Without an entry point: Dagster's launchers say themselves what a container runs.
FROM base AS server
COPY --from=build-server /app /app

FROM base
COPY --from=build /app /app
ENV HARVEST_TOKEN_STORE="/harvest/accounts"
ENTRYPOINT ["harvest-pipeline"]
CMD ["dev"]
