"""Old or new, never half: whatever goes wrong, and whenever the process dies."""

import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from harvest_pipeline.scope import Spool
from harvest_pipeline.warehouse import contract, ledger, loading, tables
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import LoadNotCommitted
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.places import place_at
from harvest_pipeline_tests.warehouse.records import (
    CONTEXT,
    FIRST,
    JANUARY,
    SpoolFolder,
    dump,
    invoice,
    line_item,
    on,
    select,
    time_entry,
)


def fail(*_: object, **__: object) -> None:
    """A stage that breaks."""
    raise RuntimeError("broken stage")


@pytest.mark.parametrize(
    ("module", "stage"),
    [
        (contract, "examine"),
        (tables, "prepare"),
        (loading, "remove_replaced"),
        (loading, "_insert"),
        (ledger, "write"),
    ],
)
def test_a_failing_load_changes_nothing(
    warehouse: Warehouse,
    spools: SpoolFolder,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    stage: str,
) -> None:
    first = invoice(1, FIRST, [line_item(10), line_item(11)])
    load(warehouse, spools.write("invoices", JANUARY, [first]), CONTEXT)
    before, loads = dump(warehouse), select(warehouse, "FROM _loads")
    monkeypatch.setattr(module, stage, fail)

    with pytest.raises(RuntimeError, match="broken stage"):
        load(warehouse, spools.write("invoices", JANUARY, [invoice(2)]), CONTEXT)
    assert dump(warehouse) == before
    assert select(warehouse, "FROM _loads") == loads


def test_an_error_that_somebody_swallows_does_not_look_like_success(
    warehouse: Warehouse, spools: SpoolFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(warehouse, spools.time_entries(on(FIRST), [time_entry(1)]), CONTEXT)
    write = ledger.write

    def write_and_swallow(connection: duckdb.DuckDBPyConnection, done: ledger.Load) -> None:
        write(connection, done)
        # DuckDB 1.5 aborts a transaction at an error of running, 2.0 at any error.
        with pytest.raises(duckdb.Error):
            connection.execute("INSERT INTO _loads (load_id) VALUES (NULL)")

    monkeypatch.setattr(ledger, "write", write_and_swallow)
    with pytest.raises(duckdb.Error, match="transaction is aborted"):
        load(warehouse, spools.time_entries(on(FIRST), [time_entry(2)]), CONTEXT)
    assert select(warehouse, "SELECT id FROM time_entries") == [(1,)]


def test_a_commit_that_lies_is_noticed(
    warehouse: Warehouse, spools: SpoolFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(warehouse, spools.time_entries(on(FIRST), [time_entry(1)]), CONTEXT)
    write = ledger.write

    def write_and_roll_back(connection: duckdb.DuckDBPyConnection, done: ledger.Load) -> None:
        write(connection, done)
        connection.rollback()
        connection.begin()

    monkeypatch.setattr(ledger, "write", write_and_roll_back)
    with pytest.raises(LoadNotCommitted, match="time_entries of 2026-01-01 was not committed"):
        load(warehouse, spools.time_entries(on(FIRST), [time_entry(2)]), CONTEXT)
    assert select(warehouse, "SELECT id FROM time_entries") == [(1,)]


ROWS = 1000
#: Starts loaders, kills each the given seconds after the given number of loads, and says so.
KILLER = """
import os, signal, sys, time
from itertools import count
from pathlib import Path
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline_tests.places import place_at
from harvest_pipeline.warehouse.loading import load
from harvest_pipeline_tests.warehouse.records import CONTEXT
from harvest_pipeline_tests.warehouse.test_durability import generation

folder = Path(sys.argv[1])
for line in sys.stdin:
    first, loads, seconds = line.split()
    loaded, report = os.pipe()
    loader = os.fork()
    if loader == 0:
        warehouse = Warehouse(place_at(folder / "data" / "warehouse.duckdb"), "harvest")
        for number in count(int(first)):
            spool = generation(folder, number)
            load(warehouse, spool, CONTEXT)
            spool.path.unlink()
            os.write(report, b".")
    os.close(report)
    for _ in range(int(loads)):
        os.read(loaded, 1)
    time.sleep(float(seconds))
    os.kill(loader, signal.SIGKILL)
    os.waitpid(loader, 0)
    os.close(loaded)
    print("killed", flush=True)
"""


def generation(folder: Path, number: int) -> Spool:
    """A spool of January in which every row bears the number, and so does its `total_entries`."""
    template = folder / "template.ndjson"
    if not template.exists():
        rows = [invoice(n, FIRST, [line_item(n)], subject="NUMBER") for n in range(ROWS)]
        SpoolFolder(folder).write("invoices", JANUARY, rows).path.rename(template)
    spool = SpoolFolder(folder).write("invoices", JANUARY, [])
    spool.path.write_text(template.read_text().replace("NUMBER", str(number)))
    return replace(spool, rows=ROWS, total_entries=number)


@pytest.mark.slow
@pytest.mark.long
def test_a_hundred_kills_never_leave_half_a_load(tmp_path: Path) -> None:
    warehouse = Warehouse(place_at(tmp_path / "data" / "warehouse.duckdb"), "harvest")
    first = generation(tmp_path, 0)
    began = time.monotonic()
    load(warehouse, first, CONTEXT)
    usual = time.monotonic() - began
    first.path.unlink()
    seed = random.randrange(2**32)
    pause = random.Random(seed)
    last, interrupted = 0, 0
    with subprocess.Popen(
        [sys.executable, "-c", KILLER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as killer:
        assert killer.stdin is not None
        assert killer.stdout is not None
        for kill in range(100):
            # Every other loader finishes a load first, however slow the machine is.
            print(last + 1, kill % 2, pause.uniform(0, 1.5) * usual, file=killer.stdin)
            assert killer.stdout.readline() == "killed\n"
            for left in tmp_path.glob("invoices-*.ndjson"):
                interrupted += 1
                left.unlink()

            where = f"kill {kill}, seed {seed}"
            [(count, subjects, subject, items, written)] = select(
                warehouse,
                "SELECT count(*), count(DISTINCT subject), max(subject)::INT,"
                " (SELECT count(*) FROM invoice_line_items),"
                " (SELECT max(total_entries) FROM _loads) FROM invoices",
            )
            assert (count, subjects, items) == (ROWS, 1, ROWS), where
            assert written == subject, where
            assert subject >= last, where
            last = subject
    # Otherwise the kills came at times that prove nothing.
    assert interrupted > 20
    assert last >= 50
