"""The search finds what it looks for: in every form, in every kind of place."""

import gzip
import html
import json
import sqlite3
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import dagster as dg
import duckdb
import pytest
import yaml

from harvest_pipeline_tests.security.canaries import Canaries
from harvest_pipeline_tests.security.failures import SECRETS

FORMS: dict[str, Callable[[str], str | bytes]] = {
    "as it is": lambda text: text,
    "URL": lambda text: quote(text, safe=""),
    "form": quote_plus,
    "JSON in JSON in JSON": lambda text: json.dumps(json.dumps(json.dumps(text))),
    "repr": lambda text: repr(text.encode()),
    "HTML": html.escape,
    "YAML": lambda text: yaml.safe_dump({"token": text}),
    "base64": lambda text: b64encode(text.encode()),
    "base64 behind one byte": lambda text: b64encode(b"." + text.encode() + b"more"),
    "base64 behind two bytes": lambda text: b64encode(b".." + text.encode() + b"more"),
    "urlsafe base64": lambda text: urlsafe_b64encode(b"." + text.encode()),
    "large hex": lambda text: text.encode().hex().upper(),
    "small letters": str.lower,
    "UTF-16": lambda text: text.encode("utf-16-le"),
    "the first half": lambda text: text[: len(text) // 2 + 8],
}
SECRET = '4711.pt.qWnx7Ld03kVbTzRs+/=&%"<\\7GhJk2MnPq9rStUv'
CANARIES = Canaries({"planted": SECRET, "other": "Zp8Yx2Wv6Ut4Sr0Qo1Nm"})


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_in_every_form_and_no_other_is_taken_for_it(form: str) -> None:
    for canaries, name, secret in (
        (CANARIES, "planted", SECRET),
        *((Canaries(SECRETS), *each) for each in SECRETS.items()),
    ):
        if form == "the first half" and secret != SECRET:
            continue
        written = FORMS[form](secret)
        data = written if isinstance(written, bytes) else written.encode()
        assert canaries.within(b"before " + data + b" after") == {name}
    assert CANARIES.within(b"HARVEST_ACCESS_TOKEN 4711.pt. " * 100) == set()


def in_text(path: Path) -> None:
    path.write_text(f"2026-11-22 - ERROR - {SECRET}")


def in_sqlite(path: Path) -> None:
    """A value that stands on two pages."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a BLOB)")
        connection.execute("INSERT INTO t VALUES (?)", ["x" * 4060 + SECRET + "x" * 9000])
    connection.close()


def packed_in_sqlite(path: Path) -> None:
    """As Dagster keeps the snapshots of jobs."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a BLOB)")
        connection.execute("INSERT INTO t VALUES (?)", [zlib.compress(SECRET.encode())])
    connection.close()


def in_a_table(path: Path) -> None:
    """Many values, so that they are compressed."""
    with duckdb.connect(path) as connection:
        connection.execute('CREATE SCHEMA "a b"; CREATE TABLE "a b"."c d" (e VARCHAR)')
        connection.execute('INSERT INTO "a b"."c d" SELECT ? || range FROM range(100000)', [SECRET])


def in_a_view(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute(f"CREATE VIEW v AS SELECT '{SECRET}' AS a")


def gzipped(path: Path) -> None:
    path.write_bytes(gzip.compress(SECRET.encode()))


@pytest.mark.parametrize(
    "plant",
    [in_text, in_sqlite, packed_in_sqlite, in_a_table, in_a_view, gzipped],
    ids=lambda plant: plant.__name__,
)
def test_a_secret_is_found_in_every_kind_of_file(
    plant: Callable[[Path], None], tmp_path: Path
) -> None:
    (folder := tmp_path / quote(SECRET, safe="")).mkdir()
    plant(folder / "file")
    assert CANARIES.below(folder) == {"file": {"planted"}}
    assert CANARIES.below(folder, but=folder.iterdir()) == {}
    assert CANARIES.below(tmp_path, but=folder.iterdir()) == {folder.name: {"planted"}}


def test_a_secret_is_found_wherever_a_run_of_dagster_can_leave_it(tmp_path: Path) -> None:
    class Careless(dg.ConfigurableResource):
        token: str = SECRET

    @dg.asset
    def told(context: dg.AssetExecutionContext, careless: Careless) -> None:
        print(SECRET)
        context.log.info(SECRET)
        context.add_output_metadata({"said": SECRET})
        raise ValueError(SECRET)

    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        dg.materialize(
            [told], instance=instance, resources={"careless": Careless()}, raise_on_error=False
        )
    places = " ".join(CANARIES.below(tmp_path))
    for place in ("runs.db", "index.db", "compute_logs"):
        assert place in places
