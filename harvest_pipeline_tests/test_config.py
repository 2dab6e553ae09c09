"""`harvest.yaml`: several accounts, and a sentence with the line for whatever is wrong in it."""

from pathlib import Path

import pytest

from harvest_pipeline.config import account_settings
from harvest_pipeline.settings import Settings, SettingsError


def settings_of(folder: Path, text: str, **variables: str) -> tuple[Settings, ...]:
    file = folder / "harvest.yaml"
    file.write_text(text)
    return account_settings({"HARVEST_CONFIG": str(file), **variables})


def test_without_a_file_there_is_the_one_account_of_the_environment() -> None:
    (only,) = account_settings({"HARVEST_SCHEMA": "acme"})
    assert (only.schema, only.prefixes) == ("acme", ("HARVEST_",))


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "accounts: []\n"])
def test_a_file_that_names_no_account_changes_nothing(text: str, tmp_path: Path) -> None:
    assert settings_of(tmp_path, text) == account_settings({})


def test_every_account_gets_its_own_name_id_and_variables_and_shares_the_rest(
    tmp_path: Path,
) -> None:
    text = (
        "accounts:\n  - name: acme\n    account_id: 17\n  - {name: blue_sky, instance: bluesky}\n"
    )
    acme, blue = settings_of(tmp_path, text, HARVEST_TIMEZONE="Asia/Kolkata")
    assert (acme.schema, acme.account_id, acme.instance) == ("acme", "17", "")
    assert (blue.schema, blue.account_id, blue.instance) == ("blue_sky", "", "bluesky")
    assert acme.prefixes == ("HARVEST_ACME_", "HARVEST_")
    assert blue.prefixes == ("HARVEST_BLUE_SKY_", "HARVEST_")
    assert acme.timezone == blue.timezone == "Asia/Kolkata"
    assert acme.duckdb == blue.duckdb


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("accounts:\n  - name: Acme Inc\n", 2, "small letters, digits and underscores"),
        ("accounts:\n  - name: acme\n    account_id: many\n", 3, "valid integer"),
        ("accounts:\n  - name: acme\n    acount_id: 4\n", 3, "name, account_id, instance"),
        ("accounts:\n  - account_id: 4\n", 2, "Field required"),
        ("accounts:\n  - name: a\n\n  - name: a\n", 1, "is there 2 times"),
        ("accounts:\n  - name: io_manager\n", 2, "is taken"),
        ("acounts:\n  - name: acme\n", 1, "there are: accounts"),
        ("accounts:\n  acme:\n    account_id: 4\n", 1, "`accounts:`"),
        ("accounts:\n  - acme\n", 2, "`accounts:`"),
        ("just some words\n", 1, "`accounts:`"),
        ("accounts:\n  - name: [acme\n", 3, "correct the YAML"),
        ("accounts:\n\t- name: acme\n", 2, "correct the YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    text: str, line: int, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as refused:
        settings_of(tmp_path, text)
    assert f"harvest.yaml, line {line}:" in refused.value.message
    assert sentence in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("content", [b"accounts:\x00\n", b"accounts: \xff\n"])
def test_a_file_that_is_no_yaml_at_all_is_told_in_one_sentence(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "harvest.yaml").write_bytes(content)
    with pytest.raises(SettingsError, match="UTF-8"):
        account_settings({"HARVEST_CONFIG": str(tmp_path / "harvest.yaml")})


def test_a_credential_in_the_file_is_refused_without_being_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        settings_of(tmp_path, "accounts:\n  - name: acme\n    access_token: canary-4711\n")
    assert "Credentials are not kept in this file" in refused.value.message
    assert "canary" not in refused.value.message


@pytest.mark.parametrize("variable", ["HARVEST_SCHEMA", "HARVEST_ACCOUNT_ID", "HARVEST_INSTANCE"])
def test_a_variable_that_says_the_same_thing_as_the_file_is_refused(
    variable: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=variable):
        settings_of(tmp_path, "accounts:\n  - name: acme\n", **{variable: "1"})


def test_a_file_that_is_named_and_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"HARVEST_CONFIG.*cannot be read"):
        account_settings({"HARVEST_CONFIG": str(tmp_path / "none.yaml")})


def test_a_name_that_equals_the_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="HARVEST_DUCKDB"):
        settings_of(tmp_path, "accounts:\n  - name: acme\n", HARVEST_DUCKDB="acme.duckdb")
