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
from harvest_pipeline_tests.security.planted import SECRETS

FORMS: dict[str, Callable[[str], str | bytes]] = {
    "as it is": lambda text: text,
    "URL": lambda text: quote(text, safe=""),
    "form": quote_plus,
    "all percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "JSON": lambda text: json.dumps({"said": text}),
    "JSON in JSON in JSON": lambda text: json.dumps(json.dumps(json.dumps(text))),
    "repr": lambda text: repr(text.encode()),
    "HTML": html.escape,
    "YAML": lambda text: yaml.safe_dump({"token": text}),
    "base64": lambda text: b64encode(text.encode()),
    "base64 behind one byte": lambda text: b64encode(b"." + text.encode() + b"more"),
    "base64 behind two bytes": lambda text: b64encode(b".." + text.encode() + b"more"),
    "base64 of Basic": lambda text: b64encode(f"user:{text}".encode()),
    "urlsafe base64": lambda text: urlsafe_b64encode(b"." + text.encode()),
    "hex": lambda text: text.encode().hex(),
    "large hex": lambda text: text.encode().hex().upper(),
    "small letters": str.lower,
    "UTF-16": lambda text: text.encode("utf-16-le"),
    "the first half": lambda text: text[: len(text) // 2 + 8],
}
SECRET = '4711.pt.qWnx7Ld03kVbTzRs+/=&%"<\\7GhJk2MnPq9rStUv'
CANARIES = Canaries({"planted": SECRET, "other": "Zp8Yx2Wv6Ut4Sr0Qo1Nm"})


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_in_every_form(form: str) -> None:
    written = FORMS[form](SECRET)
    data = written if isinstance(written, bytes) else written.encode()
    assert CANARIES.within(b"before " + data + b" after") == {"planted"}


@pytest.mark.parametrize("name", SECRETS)
def test_every_canary_is_found_and_no_other_is_taken_for_it(name: str) -> None:
    canaries = Canaries(SECRETS)
    for form in ("URL", "JSON", "repr", "base64 behind one byte", "hex"):
        written = FORMS[form](SECRETS[name])
        data = written if isinstance(written, bytes) else written.encode()
        assert canaries.within(data) == {name}, form


def test_nothing_is_found_where_nothing_is() -> None:
    assert CANARIES.within(b"HARVEST_ACCESS_TOKEN 4711.pt. " * 100) == set()


def plain(path: Path) -> None:
    path.write_text(f"2026-11-22 - ERROR - {SECRET}")


def sqlite(path: Path) -> None:
    """A value that stands on two pages."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a TEXT)")
        connection.execute("INSERT INTO t VALUES (?)", ["x" * 4060 + SECRET + "x" * 9000])
    connection.close()


def packed_in_sqlite(path: Path) -> None:
    """As Dagster keeps the snapshots of jobs."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE snapshots (body BLOB)")
        connection.execute("INSERT INTO snapshots VALUES (?)", [zlib.compress(SECRET.encode())])
    connection.close()


def write_ahead_log(path: Path) -> None:
    """What is not yet in the file itself; the connection stays open."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (a TEXT)")
    connection.execute("INSERT INTO t VALUES (?)", [SECRET])
    connection.commit()
    KEPT_OPEN.append(connection)


def table(path: Path) -> None:
    """Many values, so that they are compressed."""
    with duckdb.connect(path) as connection:
        connection.execute('CREATE SCHEMA "a b"; CREATE TABLE "a b"."c d" (e VARCHAR)')
        connection.execute('INSERT INTO "a b"."c d" SELECT ? || range FROM range(100000)', [SECRET])


def comment_of_view(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute(f"CREATE VIEW v AS SELECT '{SECRET}' AS a")


def gzipped(path: Path) -> None:
    path.write_bytes(gzip.compress(SECRET.encode()))


KEPT_OPEN: list[sqlite3.Connection] = []


@pytest.mark.parametrize(
    "plant",
    [plain, sqlite, packed_in_sqlite, write_ahead_log, table, comment_of_view, gzipped],
    ids=lambda plant: plant.__name__,
)
def test_a_secret_is_found_in_every_kind_of_file(
    plant: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = tmp_path / "deep" / "down"
    folder.mkdir(parents=True)
    plant(folder / "file")
    assert {"planted"} in CANARIES.below(tmp_path).values()
    assert CANARIES.below(tmp_path, but=folder.iterdir()) == {}


def test_a_secret_is_found_in_the_name_of_a_file(tmp_path: Path) -> None:
    (tmp_path / quote(SECRET, safe="")).mkdir()
    assert set.union(*CANARIES.below(tmp_path).values()) == {"planted"}


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
