"""Settings: what a person sets wrong is named in one sentence, before any request is made."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from harvest_pipeline.scope import Window
from harvest_pipeline.settings import Settings, SettingsError, project_folder

PROJECT = Path(__file__).resolve().parents[1]


def test_without_any_variable_the_documented_defaults_hold() -> None:
    settings = Settings.from_mapping({})
    assert settings.api_url == "https://api.harvestapp.com/v2"
    assert settings.id_url == "https://id.getharvest.com"
    assert settings.duckdb == PROJECT / "data" / "warehouse.duckdb"
    assert settings.schema == "harvest"
    assert settings.timezone == "UTC"
    assert settings.days_back == 30


def test_an_empty_variable_counts_as_not_set() -> None:
    empty = dict.fromkeys(["HARVEST_API_URL", "HARVEST_TIMEZONE", "HARVEST_START_DATE"], " ")
    assert Settings.from_mapping(empty) == Settings.from_mapping({})


def test_relative_paths_are_relative_to_the_project_not_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert project_folder() == PROJECT
    settings = Settings.from_mapping({"HARVEST_DUCKDB": "elsewhere/own.duckdb"})
    assert settings.duckdb == PROJECT / "elsewhere" / "own.duckdb"


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
    assert Settings.from_mapping({"HARVEST_API_URL": f"{url}/"}).api_url == url


TOMORROW = (date.today() + timedelta(days=2)).isoformat()


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("HARVEST_API_URL", "http://api.harvestapp.com/v2", "only sent to Harvest"),
        ("HARVEST_API_URL", "https://api.example.com/v2", "only sent to Harvest"),
        ("HARVEST_API_URL", "https://evilharvestapp.com/v2", "only sent to Harvest"),
        ("HARVEST_API_URL", "https://api.harvestapp.com.evil.example", "only sent to Harvest"),
        ("HARVEST_API_URL", "https://api.harvestapp.com@evil.example", "user name or password"),
        ("HARVEST_API_URL", "http://127.0.0.1.evil.example/v2", "only sent to Harvest"),
        ("HARVEST_API_URL", "ftp://127.0.0.1/v2", "only sent to Harvest"),
        ("HARVEST_API_URL", "api.harvestapp.com", "not an address"),
        ("HARVEST_API_URL", "https://me:secret@api.harvestapp.com", "user name or password"),
        ("HARVEST_ID_URL", "http://id.getharvest.com", "only sent to Harvest"),
        ("HARVEST_START_DATE", "2026-02-30", "not a day"),
        ("HARVEST_START_DATE", "yesterday", "not a day"),
        ("HARVEST_START_DATE", TOMORROW, "in the future"),
        ("HARVEST_TIMEZONE", "Mars/Olympus", "not a time zone"),
        ("HARVEST_TIMEZONE", "../etc/passwd", "not a time zone"),
        ("HARVEST_SCHEMA", "a; drop table", "letters, digits and underscores"),
        ("HARVEST_SCHEMA", "io_manager", "another one"),
        ("HARVEST_DUCKDB", "harvest.duckdb", "equals the schema"),
        ("HARVEST_DUCKDB", ":memory:", "path of a file"),
        ("HARVEST_DUCKDB", "https://example.com/x.duckdb", "path of a file"),
        ("HARVEST_DUCKDB", "/", "which is a folder"),
        ("HARVEST_CONTACT", "me@example.com\r\nX-Evil: 1", "plain letters"),
        ("HARVEST_DAYS_BACK", "-1", "number of days"),
        ("HARVEST_DAYS_BACK", "ten", "number of days"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(
    variable: str, value: str, sentence: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_mapping({variable: value})
    assert variable in refused.value.message
    assert sentence in refused.value.message
    assert "secret" not in refused.value.message


def test_days_back_end_today_and_never_begin_before_the_start_date() -> None:
    settings = Settings.from_mapping({"HARVEST_START_DATE": "2026-01-10", "HARVEST_DAYS_BACK": "5"})
    (daily,) = (dataset for dataset in settings.datasets if dataset.name == "daily")
    every = Window(settings.start_date, date(2026, 2, 1))
    assert settings.days_of(daily, date(2026, 1, 12), every) == Window(
        date(2026, 1, 10), date(2026, 1, 12)
    )
    assert settings.days_of(daily, date(2026, 2, 1), every) == Window(
        date(2026, 1, 27), date(2026, 2, 1)
    )
