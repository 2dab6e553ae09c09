"""Another Dagster project takes this package as a dependency and declares its accounts itself."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml
from dagster.components.component_scaffolding import scaffold_object

import harvest_pipeline
from harvest_pipeline_tests.cli.connect.person import Person
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.waiting import PATIENCE

ACME: dict[str, Any] = {
    "name": "acme",
    "disabled_reports": ["daily", "invoice_messages"],
    "start_date": "2026-08-01",
    "timezone": "Europe/Berlin",
    "datasets": [
        {
            "name": "open_invoices",
            "report": "invoices",
            "filters": {"invoice_status": "open"},
            "window": {"days_back": 30},
            "schedule": {"cron": "0 6 * * 1-5"},
            "update": "replace",
            "retry": {"attempts": 3, "wait_minutes": 10},
        }
    ],
}
DEFINITIONS = """\
from pathlib import Path
import dagster as dg

@dg.asset(deps=[dg.AssetKey(["acme", "clients"])])
def ours() -> int:
    return 1

defs = dg.Definitions.merge(
    dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
    dg.Definitions(assets=[ours], resources={"io_manager": dg.fs_io_manager}),
)
"""


class Scaffolded:
    """A new Dagster project, as `create-dagster` and `dg scaffold defs` make it."""

    def __init__(self, folder: Path, python: Path = Path(sys.executable)) -> None:
        self.folder, self._python = folder, python
        package = folder / "src" / "my_project"
        (package / "defs").mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "defs" / "__init__.py").touch()
        (package / "definitions.py").write_text(DEFINITIONS)
        (folder / "pyproject.toml").write_text(
            '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "my_project"\n'
        )

    def scaffold(self, account: str, attributes: dict[str, Any] | None = None) -> Path:
        """A folder of `defs/` with the component; with these attributes, or as scaffolded."""
        path = self.folder / "src" / "my_project" / "defs" / account
        scaffold_object(
            path=path,
            typename="harvest_pipeline.HarvestAccount",
            json_params=None,
            scaffold_format="yaml",
            project_root=self.folder,
        )
        file = path / "defs.yaml"
        if attributes is not None:
            declared = {"type": "harvest_pipeline.HarvestAccount", "attributes": attributes}
            file.write_text(yaml.safe_dump(declared))
        return file

    def python(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Python in the project's folder."""
        return subprocess.run(
            [self._python, "-W", "ignore", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder / "src"), **variables},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def importable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process import the project, as if it were installed."""
        monkeypatch.syspath_prepend(str(self.folder / "src"))
        for name in [name for name in sys.modules if name.split(".")[0] == "my_project"]:
            monkeypatch.delitem(sys.modules, name)

    def definitions(self, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
        """What Dagster loads of the project."""
        self.importable(monkeypatch)
        import my_project.definitions  # pyright: ignore[reportMissingImports]

        return my_project.definitions.defs


@pytest.fixture
def scaffolded(tmp_path: Path) -> Scaffolded:
    return Scaffolded(tmp_path)


def test_accounts_are_declared_beside_what_the_project_has(
    scaffolded: Scaffolded, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaffolded.scaffold("acme", ACME)
    scaffolded.scaffold("globex", {"name": "globex", "account_id": 4711})
    defs = scaffolded.definitions(monkeypatch)
    dg.Definitions.validate_loadable(defs)
    graph = defs.resolve_asset_graph()
    names = {key.to_user_string() for key in graph.materializable_asset_keys}
    assert {"ours", "acme/clients", "acme/open_invoices", "globex/daily"} <= names
    assert {"acme/daily", "acme/invoice_messages", "globex/open_invoices"}.isdisjoint(names)
    models = {"entry_values", "freshness", "exchange_rates"}
    assert {f"{name}/{model}" for name in ("acme", "globex") for model in models} <= names
    schedules = {schedule.name for schedule in defs.schedules or ()}
    assert {"acme_open_invoices", "acme_reconcile", "globex_reconcile"} <= schedules
    days = graph.get(dg.AssetKey(["acme", "invoices"])).partitions_def
    assert isinstance(days, dg.DailyPartitionsDefinition)
    assert (f"{days.start:%Y-%m-%d}", days.timezone) == ("2026-08-01", "Europe/Berlin")


def test_a_scaffolded_component_loads_as_it_is(
    scaffolded: Scaffolded, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = scaffolded.scaffold("acme")
    assert yaml.safe_load(file.read_text())["type"] == "harvest_pipeline.HarvestAccount"
    keys = scaffolded.definitions(monkeypatch).resolve_asset_graph().get_all_asset_keys()
    assert dg.AssetKey(["harvest", "invoices"]) in keys


@pytest.mark.slow
def test_such_a_project_loads_harvest_into_its_own_duckdb(
    sandbox: SandboxServer, scaffolded: Scaffolded
) -> None:
    files = {"duckdb": "lake/company.duckdb", "exchange_rates": "rates.csv"}
    scaffolded.scaffold("acme", {**ACME, **files})
    (scaffolded.folder / "rates.csv").write_text("day,from,to,rate\n2026-01-01,EUR,USD,1.1\n")
    environment = {
        name: value for name, value in sandbox.environment().items() if name != "HARVEST_SCHEMA"
    }
    done = scaffolded.python(
        *("-m", "dagster", "asset", "materialize", "-m", "my_project.definitions"),
        *("--select", "acme/open_invoices,acme/clients,acme/exchange_rates,ours"),
        **environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with duckdb.connect(scaffolded.folder / "lake" / "company.duckdb", read_only=True) as database:
        [clients] = database.execute("SELECT count(*) FROM acme.clients").fetchall()
        rates = database.execute("SELECT count(*) FROM acme.exchange_rates").fetchall()
        states = database.execute("SELECT DISTINCT state FROM acme.open_invoices").fetchall()
    assert rates == [(1,)]
    assert clients == (len(sandbox.account.records.clients),)
    assert states in ([("open",)], [])


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"name": "acme", "token": "x"}, "Extra inputs are not permitted"),
        ({"name": "acme", "disabled_reports": ["dayly"]}, "did you mean daily?"),
        (
            {"name": "acme", "datasets": [{"name": "a", "report": "daily", "account": "globex"}]},
            "there is no such account; choose one of acme",
        ),
        ({"name": "acme", "timezone": "Mars"}, "HARVEST_TIMEZONE: this is not a time zone"),
    ],
)
def test_what_is_wrong_in_a_defs_yaml_is_said(
    scaffolded: Scaffolded,
    monkeypatch: pytest.MonkeyPatch,
    attributes: dict[str, Any],
    said: str,
) -> None:
    scaffolded.scaffold("acme", attributes)
    with pytest.raises(Exception, match=r"acme|Mars") as raised:
        scaffolded.definitions(monkeypatch)
    texts: list[str] = []
    error: BaseException | None = raised.value
    while error:
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    assert said in "\n".join(texts)


@pytest.fixture
def inside(
    scaffolded: Scaffolded, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> Person:
    """A person in the folder of that project, whose token of one account is in a variable."""
    scaffolded.importable(monkeypatch)
    monkeypatch.chdir(scaffolded.folder)
    person = Person(scaffolded.folder / "store", sandbox)
    person.environment["HARVEST_GLOBEX_ACCESS_TOKEN"] = sandbox.tokens["manager"]
    return person


def test_commands_know_the_accounts_of_components(
    scaffolded: Scaffolded, sandbox: SandboxServer, inside: Person
) -> None:
    files = {"duckdb": "lake/company.duckdb", "account_id": sandbox.account_id}
    scaffolded.scaffold("acme", {**ACME, **files})
    scaffolded.scaffold("globex", {"name": "globex", "account_id": sandbox.account_id})
    listed = {each["name"]: each for each in json.loads(inside.run("accounts", "--json").output)}
    assert listed.keys() == {"acme", "globex"}
    assert listed["globex"]["kept_in"] == "environment"
    assert "harvest-pipeline connect --name acme" in listed["acme"]["problem"]
    token = f"{sandbox.tokens['administrator']}\n"
    connected = inside.run("connect", "--name", "acme", "--token", "-", typed=token).output
    assert "Next: run `dg dev`.\n" in connected
    tested = inside.run("accounts", "test")
    assert tested.code == 0, tested.output
    acme, globex = tested.output.splitlines()
    assert acme.startswith("acme: ok; ") and acme.endswith(sandbox.account.name)
    assert globex.startswith("globex: ok; ")
    doctor = json.loads(inside.run("doctor", "--json").output)
    sections = {each["account"]: each for each in doctor["sections"] if each["account"]}
    assert sections.keys() == {"acme", "globex"}
    found = {each["subject"]: each["text"] for each in doctor["sections"][0]["findings"]}
    assert found["components"].endswith(f"below {scaffolded.folder}")
    (warehouse,) = (each for each in doctor["sections"] if each["title"] == "warehouse")
    told = [each["text"] for each in warehouse["findings"]]
    assert any(str(scaffolded.folder / "lake" / "company.duckdb") in text for text in told)
    reports = json.loads(inside.run("reports", "--account", "acme", "--json").output)
    assert "open_invoices" in {each["name"] for each in reports}


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        ("sync", "`dg launch --assets 'key:\"acme/*\"'`, or the"),
        ("dev", "`dg dev`"),
        ("demo", "`dg "),
    ],
)
def test_what_dagster_itself_does_in_such_a_project_is_left_to_it(
    command: str, instead: str, scaffolded: Scaffolded, inside: Person
) -> None:
    scaffolded.scaffold("acme", ACME)
    refused = inside.run(command)
    assert refused.code == 1
    assert refused.output.startswith("Error: The accounts of this project (acme) are declared by")
    assert f"use {instead}" in refused.output


def test_a_component_that_cannot_be_loaded_is_one_sentence_without_its_text(
    scaffolded: Scaffolded, inside: Person
) -> None:
    scaffolded.scaffold("acme", {"name": "acme", "token": "canary-4711"})
    for words in (("reports",), ("doctor", "--offline")):
        told = inside.run(*words)
        assert told.code == 1
        assert "`dg check defs` says why" in told.output
        assert "canary" not in told.output


def test_a_dagster_project_without_our_component_is_not_loaded(
    scaffolded: Scaffolded, inside: Person
) -> None:
    (scaffolded.folder / "src" / "my_project" / "defs" / "theirs.py").write_text("1 / 0\n")
    listed = inside.run("accounts", "--json")
    assert (listed.code, json.loads(listed.output)) == (0, [])


def test_the_package_offers_its_definitions_and_imports_dagster_only_then() -> None:
    assert callable(harvest_pipeline.build_definitions)
    assert issubclass(harvest_pipeline.HarvestAccount, dg.Component)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = harvest_pipeline.nothing  # pyright: ignore[reportAttributeAccessIssue]
    program = "import sys, json, harvest_pipeline; print(json.dumps('dagster' in sys.modules))"
    printed = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert json.loads(printed) is False
