"""Time entries of three years from HTTP into DuckDB: in one Dagster run, against the least that any
program has to do, and against a dlt pipeline for the same.

    .venv-benchmark/bin/python -m benchmarks.entries [entries ...]

Each is a process of its own, measured from its start to its end, imports included; the server is
one more process, with all of its pages made before. Harvest's limit is lifted for all: at 100
requests in 15 seconds Harvest hands out 13,300 records a second. Dagster's home is there already,
and empty.

`floor` downloads the pages, a few at a time, cuts the records out as bytes, and lets DuckDB read
them with declared columns into a table. It proves nothing, checks no value, replaces nothing and
keeps no book. `dlt` is its REST source with parquet, two workers, larger buffers and no nested
tables; other settings of it were not tried.
"""

import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from unittest.mock import patch

import duckdb
import msgspec
import requests

from benchmarks.measure import (
    Cost,
    Line,
    Part,
    Plot,
    Target,
    cost_of,
    make_dagster_home,
    no_limits,
    prose,
    table,
)
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.scope import Window
from harvest_pipeline.warehouse.json_lines import text_of
from harvest_pipeline.warehouse.sql import comma, identifier, literal

RECORD = RECORDS["time_entries"]
#: The size at which dlt is measured too.
COMPARED = 100_000
#: Requests that are answered at the same time, as those of the client.
_IN_FLIGHT = 4
#: Seconds that an answer of Harvest takes.
LATENCY = (0.2, 1.0)
SIZES = (10_000, 100_000, 1_000_000)
THREE_YEARS = Window(date(2023, 12, 1), date(2026, 11, 30))
PER_PAGE = 2000
_DAYS = {"from": f"{THREE_YEARS.first}", "to": f"{THREE_YEARS.last}"}


class _Page(msgspec.Struct):
    time_entries: list[msgspec.Raw]
    total_pages: int


def floor(url: str, folder: Path) -> None:
    """The least that any program has to do."""
    decoder = msgspec.json.Decoder(_Page)
    spool = folder / "entries.ndjson"
    with requests.Session() as session, spool.open("wb") as file:

        def page(number: int) -> _Page:
            query = {**_DAYS, "per_page": f"{PER_PAGE}", "page": f"{number}"}
            return decoder.decode(session.get(f"{url}/v2/time_entries", query).content)

        def keep(page: _Page) -> None:
            file.write(b"\n".join(map(bytes, page.time_entries)) + b"\n")

        first = page(1)
        keep(first)
        with ThreadPoolExecutor(_IN_FLIGHT) as executor:
            for each in executor.map(page, range(2, first.total_pages + 1)):
                keep(each)
    objects: defaultdict[str, list[str]] = defaultdict(list)
    for each in RECORD.columns:
        objects[each.path[0]].append(f"{identifier(each.path[-1])} {each.type}")
    scalars = {each.path[0]: each.type for each in RECORD.columns if len(each.path) == 1}
    types = {key: scalars.get(key, f"STRUCT({comma(inner)})") for key, inner in objects.items()}
    columns = comma(f"{text_of(each)} AS {identifier(each.name)}" for each in RECORD.columns)
    read = comma(f"{literal(key)}: {literal(type)}" for key, type in types.items())
    with duckdb.connect(folder / "floor.duckdb") as connection:
        connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        connection.execute(
            f"CREATE TABLE t AS SELECT {columns} FROM read_json({literal(str(spool))},"
            " format = 'newline_delimited', columns = {"
            f"{read}}}) AS texts"
        )


def dagster(url: str, folder: Path) -> None:
    """One run of the asset `harvest/daily` over all days, as the UI and `sync` make it."""
    import dagster as dg

    from harvest_pipeline.orchestration.build import build_definitions
    from harvest_pipeline.orchestration.partitions import range_tags
    from harvest_pipeline.warehouse import loading
    from harvest_pipeline.warehouse.ledger import Load

    os.environ |= {
        "HARVEST_API_URL": f"{url}/v2",
        "HARVEST_ID_URL": url,
        "HARVEST_ACCESS_TOKEN": "a-token",
        "HARVEST_ACCOUNT_ID": "1",
        "HARVEST_CONTACT": "benchmarks@example.com",
        "HARVEST_DUCKDB": str(folder / "warehouse.duckdb"),
        "HARVEST_START_DATE": f"{THREE_YEARS.first}",
        "HARVEST_CONFIG": os.devnull,
        "PYTHON_DOTENV_DISABLED": "1",
    }
    job = build_definitions().resolve_implicit_global_asset_job_def()
    load, loading_took = loading.load, list[float]()

    def timed(*given: Any) -> Load:
        began = perf_counter()
        done = load(*given)
        loading_took.append(perf_counter() - began)
        return done

    began = perf_counter()
    with (
        no_limits(),
        patch.object(loading, "load", timed),
        dg.DagsterInstance.from_config(str(folder / "home")) as instance,
    ):
        job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["harvest", "daily"])],
            tags=range_tags(THREE_YEARS),
        )
    ended = perf_counter()
    with duckdb.connect(folder / "warehouse.duckdb", read_only=True) as connection:
        (reading,) = connection.sql("SELECT sum(seconds) FROM harvest._loads").fetchall()[0]
    print(json.dumps({"run": ended - began, "reading": reading, "loading": sum(loading_took)}))


def dlt(url: str, folder: Path) -> None:
    """The same list by dlt."""
    os.environ |= {
        "NORMALIZE__WORKERS": "2",
        "DATA_WRITER__BUFFER_MAX_ITEMS": "20000",
        "DATA_WRITER__FILE_MAX_ITEMS": "50000",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }
    import dlt
    from dlt.sources.rest_api import rest_api_source

    source = rest_api_source(
        {
            "client": {
                "base_url": f"{url}/v2/",
                "headers": {"Harvest-Account-Id": "1", "Authorization": "Bearer a-token"},
                "paginator": {
                    "type": "page_number",
                    "base_page": 1,
                    "page_param": "page",
                    "total_path": "total_pages",
                },
            },
            "resources": [
                {
                    "name": "time_entries",
                    "endpoint": {
                        "path": "time_entries",
                        "params": {**_DAYS, "per_page": PER_PAGE},
                        "data_selector": "time_entries",
                    },
                    "primary_key": "id",
                    "write_disposition": "replace",
                    "max_table_nesting": 0,
                }
            ],
        }
    )
    pipeline = dlt.pipeline(
        "benchmark",
        destination=dlt.destinations.duckdb(str(folder / "dlt.duckdb")),
        dataset_name="harvest",
        pipelines_dir=str(folder / "pipelines"),
    )
    pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()


WORKS = {each.__name__: each for each in (floor, dagster, dlt)}
_FILES = {
    "floor": ("floor.duckdb", "t"),
    "dagster": ("warehouse.duckdb", "harvest.time_entries"),
    "dlt": ("dlt.duckdb", "harvest.time_entries"),
}


def cost(work: str, url: str, rows: int) -> Cost:
    """What a work costs; all rows are there afterwards."""
    with TemporaryDirectory(prefix="entries-") as name:
        if work == "dagster":
            make_dagster_home(Path(name))
        spent = cost_of("benchmarks.entries", work, url, name)
        file, relation = _FILES[work]
        with duckdb.connect(Path(name) / file, read_only=True) as connection:
            found = connection.execute(
                f"SELECT count(*), count(DISTINCT id) FROM {relation}"
            ).fetchone()
        assert found == (rows, rows), f"{work}: {found} instead of {rows}"
        return spent


def measure(sizes: tuple[int, ...] = SIZES) -> Part:
    """Everything, in the order of the sizes, and dlt at the size of the comparison."""
    from benchmarks.many_entries import served  # imports Dagster, which the floor does without

    costs: dict[tuple[str, int], Cost] = {}
    distant: dict[str, Cost] = {}
    for rows in sorted({*sizes, COMPARED}):
        with served(rows) as url:
            for work in WORKS if rows == COMPARED else ("floor", "dagster"):
                costs[work, rows] = cost(work, url, rows)
    with served(COMPARED, LATENCY) as url:
        for work in WORKS:
            distant[work] = cost(work, url, COMPARED)
    shown = [(f"{rows:,}", work, each) for (work, rows), each in costs.items()]
    shown += [(f"{COMPARED:,}, with latency", work, each) for work, each in distant.items()]
    least = {what: each for what, work, each in shown if work == "floor"}
    lines: list[list[object]] = [
        [
            what,
            work,
            f"{each.seconds:.1f}",
            f"{each.processor:.1f}",
            f"{each.seconds / least[what].seconds:.2f}",
            f"{each.processor / least[what].processor:.2f}",
            f"{each.megabytes:.0f}",
        ]
        for what, work, each in shown
    ]
    headers = ["entries", "by", "seconds", "of processor", "× floor", "× its processor", "MB"]
    run, whole = costs["dagster", COMPARED].said, costs["dagster", COMPARED].seconds
    text = (
        f"{prose(__doc__)}\n\n{table(headers, lines)}\n\n"
        f"Of the {whole:.1f} s of Dagster with {COMPARED:,} entries, {whole - run['run']:.1f} s are"
        f" imports and definitions, {run['reading']:.1f} s reading and proving,"
        f" {run['loading']:.1f} s loading, and the rest Dagster, previews and checks of 1,096 days."
    )
    return Part(
        "Time entries of three years", text, _targets(costs, distant), _plots(costs, distant)
    )


def _targets(costs: dict[tuple[str, int], Cost], distant: dict[str, Cost]) -> list[Target]:
    least, ours, other = (costs[work, COMPARED] for work in WORKS)
    run = ours.said["run"]
    parts = (
        f"{ours.seconds - run:.1f} s are imports and definitions, "
        f"{run - ours.said['reading'] - ours.said['loading']:.1f} s Dagster's bookkeeping of 1,096"
        " days, previews and checks"
    )
    largest = max(rows for _, rows in costs)
    slow, gain = ours.seconds / least.seconds, other.seconds / ours.seconds
    far = distant["dagster"].seconds / distant["floor"].seconds
    gain_far = distant["dlt"].seconds / distant["dagster"].seconds
    loaded = costs["dagster", largest]
    share = costs["floor", largest].seconds / loaded.seconds
    what = f"{COMPARED:,} entries over 3 years, one run through Dagster"
    return [
        Target(
            what,
            "at most 2 × the floor's time",
            f"{slow:.2f} × ({ours.seconds:.1f} s; {least.seconds:.1f} s); of processor"
            f" {ours.processor / least.processor:.2f} ×",
            slow <= 2,
            parts,
        ),
        Target(
            f"{what}, against dlt",
            "dlt takes at least 2.5 × as long",
            f"{gain:.2f} × ({other.seconds:.1f} s); of processor"
            f" {other.processor / ours.processor:.2f} ×",
            gain >= 2.5,
            parts,
        ),
        Target(
            "the same two where an answer takes 200–1,000 ms",
            "at most 2 ×, at least 2.5 ×",
            f"{far:.2f} × and {gain_far:.2f} ×",
            far <= 2 and gain_far >= 2.5,
            "the same",
        ),
        Target(
            f"{largest:,} entries",
            "at least 50 % of the floor's records/s",
            f"{share:.0%} ({largest / loaded.seconds:,.0f} records/s); of processor"
            f" {costs['floor', largest].processor / loaded.processor:.0%}",
            share >= 0.5,
            "every value is examined, and cast exactly: "
            f"{loaded.said['loading']:.1f} s of {loaded.seconds:.1f} s",
        ),
        Target(
            f"{largest:,} entries, memory",
            "at most 500 MB resident",
            f"{loaded.megabytes:.0f} MB",
            loaded.megabytes <= 500,
            f"the floor takes {costs['floor', largest].megabytes:.0f} MB: it is DuckDB that reads"
            " JSON and builds the table; the rest is Python with Dagster",
        ),
    ]


def _plots(costs: dict[tuple[str, int], Cost], distant: dict[str, Cost]) -> list[Plot]:
    sizes = sorted({rows for _, rows in costs})
    works = ("floor", "dagster")

    def lines(of: Callable[[Cost, int], float]) -> list[Line]:
        return [
            Line(work, [float(n) for n in sizes], [of(costs[work, n], n) for n in sizes])
            for work in works
        ]

    return [
        Plot(
            "entries",
            f"{COMPARED:,} time entries of three years into DuckDB",
            "",
            "seconds of the whole process",
            bars={work: costs[work, COMPARED].seconds for work in WORKS}
            | {f"{work},\nlatency": each.seconds for work, each in distant.items()},
        ),
        Plot(
            "growth_time",
            "Time for each 1,000 entries",
            "entries in the account",
            "seconds",
            lines(lambda each, rows: each.seconds / rows * 1000),
        ),
        Plot(
            "growth_memory",
            "Memory of the process",
            "entries in the account",
            "MB resident at most",
            lines(lambda each, _: each.megabytes),
        ),
    ]


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in WORKS:
        WORKS[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
    else:
        print(measure(tuple(map(int, sys.argv[1:])) or SIZES))
