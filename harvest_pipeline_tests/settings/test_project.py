"""The project and its accounts: defaults, variables, and a sentence for each that cannot work."""

import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from harvest_pipeline.catalogue.reports import REPORTS
from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Project, SettingsError, load_project, project_folder
from harvest_pipeline_tests.settings.written import project_of

FOLDER = Path(__file__).resolve().parents[2]


def test_without_any_variable_the_documented_defaults_hold() -> None:
    project = Project.of({})
    assert project.api_url == "https://api.harvestapp.com/v2"
    assert project.id_url == "https://id.getharvest.com"
    assert project.duckdb == FOLDER / "data" / "warehouse.duckdb"
    assert (project.timezone, project.days_back) == ("UTC", 30)
    assert (project.sweep_requests, project.alerts) == (None, ())
    [only] = project.accounts
    assert (only.name, only.prefixes, len(only.datasets)) == (
        "harvest",
        ("HARVEST_",),
        len(REPORTS),
    )
    assert only.project is project


def test_an_empty_variable_counts_as_not_set() -> None:
    empty = dict.fromkeys(["HARVEST_API_URL", "HARVEST_TIMEZONE", "HARVEST_SWEEP_REQUESTS"], " ")
    assert Project.of(empty) == Project.of({}) != Project.of({"HARVEST_DAYS_BACK": "7"})


def test_relative_paths_are_relative_to_the_project_not_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert project_folder() == FOLDER
    project = Project.of({"HARVEST_DUCKDB": "elsewhere/own.duckdb"})
    assert project.duckdb == FOLDER / "elsewhere" / "own.duckdb"


def test_a_database_that_machines_share_needs_packages_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = "postgres://harvest@[::1]:5433,db.example.com/harvest?sslmode=verify-full"
    assert str(Project.of({"HARVEST_STATE": address}).state) == f"{address} (HARVEST_STATE)"
    monkeypatch.setitem(sys.modules, "psycopg", None)  # not installed
    with pytest.raises(SettingsError, match=r"run pip install 'harvest_pipeline\[shared\]'\.$"):
        Project.of({"HARVEST_STATE": address})
    assert Project.of({}).state is None


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "accounts: []\n", "accounts:\n  # - name: acme\n"]
)
def test_a_file_that_names_no_account_changes_nothing(text: str, tmp_path: Path) -> None:
    assert project_of(tmp_path, text) == load_project({})


def test_every_account_has_its_own_name_id_and_variables_and_shares_the_project(
    tmp_path: Path,
) -> None:
    text = """
        accounts: [{name: acme, account_id: 17}, {name: blue_sky, instance: bluesky}, {name: third}]
        disabled_reports: [tasks]
        datasets:
          - {name: mine, report: daily, account: acme}
          - {name: mine, report: clients, account: blue_sky}
    """
    project = project_of(tmp_path, text, HARVEST_TIMEZONE="Asia/Kolkata")
    acme, blue, third = project.accounts
    assert (acme.name, acme.account_id, acme.instance) == ("acme", "17", "")
    assert (blue.name, blue.account_id, blue.instance) == ("blue_sky", "", "bluesky")
    assert acme.prefixes == ("HARVEST_ACME_", "HARVEST_")
    assert blue.prefixes == ("HARVEST_BLUE_SKY_", "HARVEST_")
    assert project.timezone == "Asia/Kolkata"
    assert acme.project is blue.project is project
    assert [len(each.datasets) for each in project.accounts] == [
        len(REPORTS),
        len(REPORTS),
        len(REPORTS) - 1,
    ]
    assert acme.datasets[-1].report.name == "daily"
    assert blue.datasets[-1].report.name == "clients"
    assert "tasks" not in {dataset.name for dataset in third.datasets}


def test_days_back_end_today_and_never_begin_before_the_start_date() -> None:
    project = Project.of({"HARVEST_START_DATE": "2026-01-10", "HARVEST_DAYS_BACK": "5"})
    (daily,) = (each for each in project.accounts[0].datasets if each.name == "daily")
    every = Window(project.start_date, date(2026, 2, 1))
    for today, first in (("2026-01-12", "2026-01-10"), ("2026-02-01", "2026-01-27")):
        days = Window(date.fromisoformat(first), date.fromisoformat(today))
        assert project.days_of(daily, days.last, every) == days


@pytest.mark.parametrize(
    "url",
    [
        "https://api.harvestapp.com/v2",
        "https://acme.harvestapp.com/api/v2",
        "http://127.0.0.1:7357/v2",
        "https://127.0.0.1:7357/v2",
        "http://[::1]:80/v2",
    ],
)
def test_a_token_may_go_to_harvest_and_to_this_machine(url: str) -> None:
    assert Project.of({"HARVEST_API_URL": f"{url}/"}).api_url == url


def test_a_host_in_capital_letters_is_the_same_host() -> None:
    project = Project.of({"HARVEST_API_URL": "HTTPS://API.HarvestApp.com/v2"})
    assert project.api_url == "https://api.harvestapp.com/v2"


#: Hosts that URL parsers, or their readers, take for different ones.
AMBIGUOUS = [
    r"https://evil.example\.harvestapp.com/v2",
    r"https://evil.example\\.harvestapp.com/v2",
    r"http://evil.example\127.0.0.1/v2",
    "https://evil.example%5c.harvestapp.com/v2",
    "https://evil.example%2f.harvestapp.com/v2",
    "https://evil.example%00.harvestapp.com/v2",
    "https://evil.example;.harvestapp.com/v2",
    "https://evil.example,.harvestapp.com/v2",
    "https://evil.example&.harvestapp.com/v2",
    "https://evil.example\t.harvestapp.com/v2",
    "https://evil.example\n.harvestapp.com/v2",
    "https://evil.example .harvestapp.com/v2",
    "https://evil.example\x00.harvestapp.com/v2",
    "https://evil.example#.harvestapp.com/v2",
    "https://evil.example?.harvestapp.com/v2",
    "https://evil.example:443:.harvestapp.com/v2",
    "https://evil.example:.harvestapp.com/v2",
    "https://evil.example@.harvestapp.com/v2",
    "https://evil.example\uff0f.harvestapp.com/v2",
    "https://evil.example\uff03.harvestapp.com/v2",
    "https://\uff45vil.harvestapp.com/v2",
    "https://evil.example\u3002harvestapp.com/v2",
    "https://api.harvestapp.com\uff0eevil.example/v2",
    "https://api.\u212aarvestapp.com/v2",
    "https://api.harvestapp.com./v2",
    "https://api..harvestapp.com/v2",
    "https://.harvestapp.com/v2",
    "https:///api.harvestapp.com/v2",
    "https:/api.harvestapp.com/v2",
    r"https:\\api.harvestapp.com\v2",
    "https://api.harvestapp.com:0/v2",
    "https://api.harvestapp.com:65536/v2",
    "https://api.harvestapp.com:/v2",
    "https://api.harvestapp.com:४४३/v2",
    "https://api.harvestapp.com/v2\nX-Evil: 1",
    r"https://api.harvestapp.com/v2\..",
    "http://127.1/v2",
    "http://2130706433/v2",
    "http://0x7f000001/v2",
    "http://0177.0.0.1/v2",
    "http://localhost./v2",
    "http://[::1/v2",
    "http://[::1%25eth0]/v2",
    "http://[::1].evil.example/v2",
    "http://[evil.example]/v2",
]


@pytest.mark.parametrize("variable", ["HARVEST_API_URL", "HARVEST_ID_URL"])
@pytest.mark.parametrize("url", AMBIGUOUS)
def test_a_host_that_parsers_may_read_differently_is_refused(url: str, variable: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}: "):
        Project.of({variable: url})


LATER = (date.today() + timedelta(days=2)).isoformat()


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("HARVEST_API_URL", "http://api.harvestapp.com/v2", "only sent to Harvest"),
        ("HARVEST_API_URL", "https://api.example.com/v2", "only sent to Harvest"),
        ("HARVEST_API_URL", "https://evilharvestapp.com/v2", "only sent to Harvest"),
        ("HARVEST_API_URL", "https://api.harvestapp.com.evil.example", "only sent to Harvest"),
        ("HARVEST_API_URL", "https://api.harvestapp.com@evil.example", "user name or password"),
        ("HARVEST_API_URL", "http://127.0.0.1.evil.example/v2", "only sent to Harvest"),
        ("HARVEST_API_URL", "ftp://127.0.0.1/v2", "not an address"),
        ("HARVEST_API_URL", "api.harvestapp.com", "not an address"),
        ("HARVEST_API_URL", "https://me:secret@api.harvestapp.com", "user name or password"),
        ("HARVEST_ID_URL", "http://id.getharvest.com", "only sent to Harvest"),
        ("HARVEST_START_DATE", "2026-02-30", "not a day"),
        ("HARVEST_START_DATE", LATER, "in the future"),
        ("HARVEST_TIMEZONE", "Mars/Olympus", "not a time zone"),
        ("HARVEST_TIMEZONE", "../etc/passwd", "not a time zone"),
        ("HARVEST_SCHEMA", "a; drop table", "letters, digits and underscores"),
        ("HARVEST_SCHEMA", "io_manager", "another one"),
        ("HARVEST_DUCKDB", "harvest.duckdb", "rename one of them"),
        ("HARVEST_DUCKDB", ":memory:", "path of a file"),
        ("HARVEST_STATE", "postgresql://user:secret@db/harvest", "set PGPASSWORD or write it"),
        ("HARVEST_STATE", "host=db dbname=harvest password=secret", "this is not an address such"),
        ("HARVEST_STATE", "postgresql://db/harvest?user=a&password=secret@b", "holds a password"),
        ("HARVEST_DUCKDB", "https://secret@example.com/x.duckdb", "path of a file"),
        ("HARVEST_DUCKDB", "/", "is a folder"),
        ("HARVEST_PUBLISH", "data/warehouse.duckdb", "is the database"),
        ("HARVEST_PUBLISH", "md:secret", "path of a file"),
        ("HARVEST_PUBLISH", "docs", "holds something else"),
        ("HARVEST_PUBLISH", "README.md", "holds something else"),
        ("HARVEST_CONTACT", "me@example.com\r\nX-Evil: 1", "plain letters"),
        ("HARVEST_DAYS_BACK", "-1", "it must be greater than or equal to 0"),
        ("HARVEST_DAYS_BACK", "ten", "a whole number is expected here"),
        ("HARVEST_CHANGES_SECONDS", "29", "it must be greater than or equal to 30"),
        ("HARVEST_KEEP_RUNS_DAYS", "0", "it must be greater than or equal to 1"),
        ("HARVEST_SWEEP_REQUESTS", "some", "a whole number is expected here"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(
    variable: str, value: str, sentence: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        Project.of({variable: value})
    assert refused.value.message.startswith(f"{variable}: ")
    assert sentence in refused.value.message
    assert "secret" not in refused.value.message


def test_the_database_and_its_folder_are_no_place_for_its_copy(tmp_path: Path) -> None:
    database, link = tmp_path / "new" / "warehouse.duckdb", tmp_path / "copy.duckdb"
    link.symlink_to(database)
    for copy in (link, database.parent, database):
        with pytest.raises(SettingsError, match=r"HARVEST_PUBLISH: .* is the database"):
            Project.of({"HARVEST_DUCKDB": str(database), "HARVEST_PUBLISH": str(copy)})


@pytest.mark.parametrize("variable", ["HARVEST_SCHEMA", "HARVEST_ACCOUNT_ID", "HARVEST_INSTANCE"])
def test_a_variable_that_says_the_same_thing_as_the_file_is_refused(
    variable: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=variable):
        project_of(tmp_path, "accounts:\n  - name: acme\n", **{variable: "1"})


def test_a_file_that_is_named_and_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"HARVEST_CONFIG.*cannot be read"):
        load_project({"HARVEST_CONFIG": str(tmp_path / "none.yaml")})


def test_a_name_of_an_account_that_equals_the_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="HARVEST_DUCKDB"):
        project_of(tmp_path, "accounts:\n  - name: acme\n", HARVEST_DUCKDB="acme.duckdb")
