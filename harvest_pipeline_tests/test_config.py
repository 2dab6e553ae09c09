"""`harvest.yaml`: several accounts, and a sentence with the line for whatever is wrong in it."""

from pathlib import Path

import pytest

from harvest_pipeline.config import account_settings
from harvest_pipeline.settings import Settings, SettingsError


def settings_of(folder: Path, text: str, **variables: str) -> tuple[Settings, ...]:
    file = folder / "harvest.yaml"
    file.write_text(text)
    return account_settings({"HARVEST_CONFIG": str(file), **variables})


def refusal_of(folder: Path, text: str) -> str:
    """What is said of the file, without its path."""
    with pytest.raises(SettingsError) as refused:
        settings_of(folder, text)
    assert "\n" not in refused.value.message
    return refused.value.message.removeprefix(f"{folder / 'harvest.yaml'}, ")


def test_without_a_file_there_is_the_one_account_of_the_environment() -> None:
    (only,) = account_settings({"HARVEST_SCHEMA": "acme"})
    assert (only.schema, only.prefixes) == ("acme", ("HARVEST_",))


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "accounts: []\n", "accounts:\n  # - name: acme\n"]
)
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


NO_SUCH = "there is no such setting"
CREDENTIALS = (
    "Credentials are not kept in this file: run `harvest-pipeline connect`, or set variables such "
    "as HARVEST_ACME_ACCESS_TOKEN."
)
NAME = (
    "a name is made of small letters, digits and underscores (40 at most), and begins with a "
    "letter."
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("accounts:\n  - name: Acme Inc\n", f"line 2: accounts.0.name: {NAME}"),
        (f"accounts:\n  - name: {'a' * 41}\n", f"line 2: accounts.0.name: {NAME}"),
        (
            "accounts:\n  - name: no\n",
            "line 2: accounts.0.name: text is expected here; put it into quotes.",
        ),
        (
            "accounts:\n  - name: acme\n    account_id: many\n",
            "line 3: accounts.0.account_id: it must be a valid integer, unable to parse string as "
            "an integer.",
        ),
        (
            "accounts:\n  - name: acme\n    instance: acme_inc\n",
            "line 3: accounts.0.instance: this is not the acme of acme.harvestapp.com.",
        ),
        (
            "accounts:\n  - name: acme\n    acount_id: 4\n",
            f"line 3: accounts.0.acount_id: {NO_SUCH} (did you mean account_id?); there are: "
            f"name, account_id, instance. {CREDENTIALS}",
        ),
        (
            "accounts:\n  - account_id: 4\n",
            "line 2: accounts.0.name: it is missing, and there is no default.",
        ),
        (
            "accounts:\n  - name: a\n\n  - name: a\n",
            "line 1: accounts: the name 'a' is there 2 times; each needs its own.",
        ),
        (
            "accounts:\n  - name: io_manager\n",
            "line 2: accounts.0.name: 'io_manager' is taken; choose another name.",
        ),
        (
            "acounts:\n  - name: acme\n",
            f"line 1: acounts: {NO_SUCH} (did you mean accounts?); there are: accounts, "
            f"disabled_reports, datasets, alerts. {CREDENTIALS}",
        ),
        (
            "accounts:\n  acme:\n    account_id: 4\n",
            "line 1: accounts: a list is expected here, such as [{name: acme}].",
        ),
        (
            "accounts:\n  - acme\n",
            "line 2: accounts.0: settings are expected here, such as {name: acme}.",
        ),
        (
            "just some words\n",
            "line 1: settings are expected here, such as {accounts: [{name: acme}]}.",
        ),
        (
            "accounts:\n  - name: acme\n\naccounts:\n  - name: blue\n",
            "line 4: accounts is there twice at the same place, and only one of them would count; "
            "put them together.",
        ),
        (
            "accounts:\n  - name: acme\n    name: blue\n",
            "line 3: name is there twice at the same place, and only one of them would count; put "
            "them together.",
        ),
        (
            "accounts:\n  - name: [acme\n",
            "line 3: expected ',' or ']', but got '<stream end>'; correct the YAML.",
        ),
        (
            "accounts:\n\t- name: acme\n",
            "line 2: found character '\\t' that cannot start any token; correct the YAML.",
        ),
        (
            "accounts: !!python/object:os.system\n",
            "line 1: could not determine a constructor for the tag '…'; correct the YAML.",
        ),
        (
            "accounts: &all [*all]\n",
            "line 1: accounts.0: settings are expected here, such as {name: acme}.",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, sentence: str, tmp_path: Path) -> None:
    assert refusal_of(tmp_path, text) == sentence


@pytest.mark.parametrize(
    "content",
    [
        b"accounts:\x00\n",
        b"accounts: \xff\n",
        b"accounts: " + 5000 * b"[",
        b"accounts: [{name: a, account_id: " + 5000 * b"9" + b"}]",
    ],
)
def test_a_file_that_is_no_yaml_at_all_is_told_in_one_sentence(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "harvest.yaml").write_bytes(content)
    with pytest.raises(SettingsError, match="UTF-8"):
        account_settings({"HARVEST_CONFIG": str(tmp_path / "harvest.yaml")})


@pytest.mark.parametrize(
    "text",
    [
        "accounts:\n  - name: acme\n    access_token: canary-4711\n",
        "accounts:\n  - name: acme\n    instance: canary_4711\n",
        "accounts:\n  - name: canary-4711\n",
        "access_token: canary-4711\n",
        "canary-4711\n",
        "accounts: canary-4711\n",
        "accounts: 'canary-4711\n",
        "accounts:\n  - name: acme\ndatasets:\n  - {name: a, report: daily, token: canary-4711}\n",
        "datasets:\n  - {name: a, report: daily, retry: {attempts: canary-4711}}\n",
        "datasets:\n  - {name: a, report: daily, update: canary-4711}\n",
        "datasets:\n  - {name: a, report: daily, schedule: canary-4711}\n",
        f"datasets:\n  - {{name: a, report: {'canary-4711' * 5}}}\n",
        f"datasets:\n  - {{name: a, report: daily, account: {'canary-4711' * 5}}}\n",
        f"datasets:\n  - {{name: a, report: daily, schedule: {{cron: {'canary-4711' * 5}}}}}\n",
        f"datasets:\n  - {{name: a, report: daily, filters: {{user_ids: {'canary-47' * 5}}}}}\n",
    ],
)
def test_a_credential_in_the_file_is_refused_without_being_shown(text: str, tmp_path: Path) -> None:
    assert "canary" not in refusal_of(tmp_path, text)


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
