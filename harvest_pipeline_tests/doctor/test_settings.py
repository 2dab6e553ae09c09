"""What the doctor says of settings: each value, where it is from, and what is not one."""

import re
from pathlib import Path

import pytest

from harvest_pipeline.doctor.settings import VARIABLES
from harvest_pipeline_tests.doctor.conftest import PROJECT, Patient, document


def test_every_variable_is_told_with_its_value_and_where_that_is_from(patient: Patient) -> None:
    patient.set(HARVEST_TIMEZONE="Asia/Kolkata")
    found = patient.examined(offline=True)
    assert {finding.subject for finding in found.of("settings")} == {".env", *VARIABLES}
    assert found.about("HARVEST_TIMEZONE").text == "Asia/Kolkata (environment)"
    assert found.about("HARVEST_START_DATE").text == "2020-01-01 (default)"
    assert found.about("HARVEST_DUCKDB").text == f"{patient.database} (environment)"
    assert found.about("HARVEST_ACCESS_TOKEN").text == "set (environment)"
    assert found.about("HARVEST_REFRESH_TOKEN").text == "not set"


def test_no_variable_that_the_package_or_the_readme_speaks_of_is_unknown() -> None:
    sources = [PROJECT / "README.md", PROJECT / ".env.example"]
    sources += [
        path
        for path in (PROJECT / "harvest_pipeline").rglob("*.py")
        if "sandbox" not in path.parts  # HARVEST_LIMITS there is no variable
    ]
    spoken = {
        name for path in sources for name in re.findall(r"HARVEST_[A-Z_]*[A-Z]", path.read_text())
    }
    of_examples = {name for name in spoken if name.startswith("HARVEST_ACME")}
    assert spoken - of_examples == set(VARIABLES)


def test_what_stands_in_dotenv_is_told_from_the_environment(patient: Patient) -> None:
    place = patient.installed()
    dotenv = place / ".env"
    dotenv.write_text(
        "HARVEST_TIMEZONE=Asia/Kolkata\nHARVEST_DAYS_BACK=7\nHARVEST_SWEEP_REQUESTS=\n"
    )
    dotenv.chmod(0o644)
    patient.set(HARVEST_DAYS_BACK="9", HARVEST_SWEEP_REQUESTS="4")
    completed = patient.command("--json", "--offline", place=place)
    found = {each["subject"]: each for each in document(completed)["sections"][0]["findings"]}
    assert found["HARVEST_TIMEZONE"]["text"] == "Asia/Kolkata (.env)"
    assert found["HARVEST_DAYS_BACK"]["text"] == "7 (.env)"
    assert found["HARVEST_SWEEP_REQUESTS"]["text"] == "None (default; it is empty in .env)"
    assert found["HARVEST_ACCESS_TOKEN"]["text"] == "set (environment)"
    # 0644 matters for credentials only.
    assert found[".env"] == {
        "subject": ".env",
        "state": "warning",
        "text": "HARVEST_DAYS_BACK and HARVEST_SWEEP_REQUESTS are set in the environment and, "
        f"differently, in {dotenv}, which wins.",
        "remedy": "Remove them from one of the two.",
    }


def test_a_dotenv_with_credentials_that_others_can_read_is_told(patient: Patient) -> None:
    place = patient.installed()
    (place / ".env").write_text("HARVEST_REFRESH_TOKEN=canary-4711\n")

    def finding(mode: int) -> dict[str, str]:
        (place / ".env").chmod(mode)
        settings = document(patient.command("--json", "--offline", place=place))["sections"][0]
        (found,) = [each for each in settings["findings"] if each["subject"] == ".env"]
        return found

    open_to_all = finding(0o640)
    assert open_to_all["state"] == "warning"
    assert open_to_all["remedy"] == f"chmod 600 {place / '.env'}"
    assert finding(0o600)["state"] == "ok"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("HARVEST_ACESS_TOKEN", "did you mean HARVEST_ACCESS_TOKEN?"),
        ("HARVEST_TIME_ZONE", "did you mean HARVEST_TIMEZONE?"),
        ("HARVEST_FOO", "is not a setting."),
        ("HARVEST_ACME_ACCESS_TOKEN", "no account of harvest.yaml is called acme"),
    ],
)
def test_a_variable_that_nobody_knows_is_told_without_its_value(
    patient: Patient, name: str, near: str
) -> None:
    patient.set(**{name: "canary-4711"})
    found = patient.examined(offline=True)
    assert found.warnings().count(name) == 1
    assert near in found.about(name).text
    assert "canary" not in str(found)


def test_an_empty_variable_is_no_setting_at_all(patient: Patient) -> None:
    patient.set(HARVEST_FOO="", HARVEST_ACME_ACCESS_TOKEN=" ")
    assert {f.subject for f in patient.examined(offline=True).of("settings")} == {
        ".env",
        *VARIABLES,
    }


def test_all_wrong_settings_are_told_and_what_is_still_possible_is_done(patient: Patient) -> None:
    patient.set(
        HARVEST_DAYS_BACK="ten",
        HARVEST_TIMEZONE="Mars/Olympus",
        HARVEST_START_DATE="yesterday",
        HARVEST_SCHEMA="a; drop table",
    )
    found = patient.examined()
    assert set(found.wrong()) == {
        "HARVEST_DAYS_BACK",
        "HARVEST_TIMEZONE",
        "HARVEST_START_DATE",
        "HARVEST_SCHEMA",
    }
    assert found.about("HARVEST_TIMEZONE").remedy == (
        "Use an IANA name such as Europe/Berlin or UTC."
    )
    assert found.about("/clients").state == "ok"


def test_a_host_that_is_not_harvests_is_told_and_nothing_is_sent_there(patient: Patient) -> None:
    patient.set(HARVEST_API_URL="https://api.example.com/v2")
    found = patient.examined()
    assert found.wrong() == ["HARVEST_API_URL"]
    assert "only sent to Harvest" in found.about("HARVEST_API_URL").text
    # Nor to the default host, for which the token was not meant.
    assert found.about("Harvest").text == "was not asked"
    assert patient.paths() == []


def test_a_schema_with_the_name_of_the_database_is_told(patient: Patient) -> None:
    patient.set(HARVEST_SCHEMA="acme", HARVEST_DUCKDB=str(patient.folder / "acme.duckdb"))
    found = patient.examined(offline=True)
    assert found.wrong() == ["HARVEST_DUCKDB"]


def test_harvest_yaml_is_told_with_the_accounts_that_it_names(patient: Patient) -> None:
    patient.name_accounts(
        "accounts:\n  - {name: acme, account_id: 17}\n  - {name: blue, instance: bluesky}\n"
        "  - name: cedar\n"
    )
    patient.set(HARVEST_ACME_ACCESS_TOKEN="canary-4711")
    found = patient.examined(offline=True)
    text = found.about("HARVEST_CONFIG").text
    assert text.endswith("harvest.yaml (environment), which names acme (17), blue (bluesky), cedar")
    assert found.about("HARVEST_ACME_ACCESS_TOKEN").text == "set (environment)"
    assert "not used" in found.about("HARVEST_SCHEMA").text
    assert found.about("credentials", "acme").text == "HARVEST_ACME_ACCESS_TOKEN (environment)"
    assert found.about("credentials", "cedar").text == "HARVEST_ACCESS_TOKEN (environment)"
    assert "canary" not in str(found)


def test_a_broken_harvest_yaml_is_told_with_its_line_and_the_rest_goes_on(
    patient: Patient,
) -> None:
    patient.name_accounts("accounts:\n  - name: acme\n    access_token: canary-4711\n")
    patient.set(HARVEST_ACME_ACCESS_TOKEN="canary-4711")
    found = patient.examined()
    assert found.wrong() == ["HARVEST_CONFIG"]
    assert "harvest.yaml, line 3:" in found.about("HARVEST_CONFIG").text
    assert found.about("database").state == "ok"
    assert "canary" not in str(found)
    assert patient.paths() == []


def test_a_variable_that_contradicts_harvest_yaml_is_told(patient: Patient) -> None:
    patient.name_accounts("accounts:\n  - name: acme\n")
    patient.set(HARVEST_ACCOUNT_ID="17")
    found = patient.examined(offline=True)
    assert found.wrong() == ["HARVEST_ACCOUNT_ID"]
    assert "names the accounts" in found.about("HARVEST_ACCOUNT_ID").text
    assert found.about("credentials", "acme").state == "ok"


def test_a_file_that_is_named_and_not_there_is_told(patient: Patient, tmp_path: Path) -> None:
    patient.set(HARVEST_CONFIG=str(tmp_path / "none.yaml"))
    found = patient.examined()
    assert found.wrong() == ["HARVEST_CONFIG"]
    assert patient.paths() == []  # nobody knows which accounts are meant


def test_a_store_that_cannot_be_is_told(patient: Patient) -> None:
    patient.set(HARVEST_TOKEN_STORE="relative/folder")
    found = patient.examined(offline=True)
    assert "HARVEST_TOKEN_STORE" in found.wrong()
    assert "whole path" in (found.about("HARVEST_TOKEN_STORE").remedy or "")
