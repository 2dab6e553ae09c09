# All commands in one image, of which `dev` is the default; docs/docker.md says how it is run.
FROM python:3.12-slim AS build
WORKDIR /source
COPY constraints.txt setup.py pyproject.toml dagster.yaml LICENSE ./
COPY harvest_pipeline harvest_pipeline
# As `make` does it: only files that the lock knows by their hashes, and the package as it is here.
RUN sed -n '/^uv==/,/[^\\]$/p' constraints.txt > uv.txt \
 && pip install --no-cache-dir --require-hashes -r uv.txt \
 && uv venv /app \
 && uv pip install --no-cache --python /app --constraint constraints.txt setuptools \
 && uv pip install --no-cache --python /app --constraint constraints.txt \
      --no-build-isolation --compile-bytecode .

FROM python:3.12-slim
RUN useradd --uid 1000 --create-home harvest && install -d -o harvest -m 700 /harvest
COPY --from=build /app /app
# Settings (.env, harvest.yaml), connected accounts, data/ and .dagster/ are all in the volume.
ENV PATH="/app/bin:$PATH" HARVEST_TOKEN_STORE="/harvest/accounts"
USER harvest
WORKDIR /harvest
VOLUME /harvest
ENTRYPOINT ["harvest-pipeline"]
CMD ["dev"]
