"""`.env` and the environment: one rule, for the `dagster` command and for our own."""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from dagster._core.secrets.env_file import get_env_var_dict
from hypothesis import given
from hypothesis import strategies as st

from harvest_pipeline.cli.main import main
from harvest_pipeline.settings import SettingsError, environment, load_environment
from harvest_pipeline.settings.environment import dotenv
from harvest_pipeline_tests.checkout import Place
from harvest_pipeline_tests.cli.command import arguments_of, every_command
from harvest_pipeline_tests.sandbox.server import SandboxServer

DAGSTER = ("-m", "dagster", "asset", "materialize", "-m", "harvest_pipeline.definitions")
HARVEST = ("-m", "harvest_pipeline.cli")
CANARY = "canary-4711"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def other() -> Iterator[SandboxServer]:
    with SandboxServer(years=0.1, rate_limit=None) as server:
        yield server


@pytest.mark.slow
def test_every_command_reads_the_account_of_dotenv_into_the_database_of_dotenv(
    place: Place, sandbox: SandboxServer, other: SandboxServer
) -> None:
    """Dagster's commands read account B while ours read account A, each in green."""
    inside = {**other.environment(), "HARVEST_DUCKDB": "data/b.duckdb"}
    outside = {**sandbox.environment(), "HARVEST_DUCKDB": "data/a.duckdb"}
    # What is the same in both is named by nobody.
    same = {"HARVEST_TIMEZONE": "Europe/Berlin"}
    place.write(**inside, **same)
    differing = sorted(name for name in inside if outside[name] != inside[name])
    expected = (
        f"{', '.join(differing[:-1])} and {differing[-1]} are set in the environment and, "
        f"differently, in {place.folder / '.env'}, which wins; remove them from one of the two."
    )
    for words, cwd in (
        ((*DAGSTER, "--select", "harvest/clients"), None),
        ((*DAGSTER, "--select", "harvest/clients"), place.home),  # Dagster itself sees no `.env`
        ((*HARVEST, "sync", "clients"), place.home),
        ((*HARVEST, "doctor", "--json"), place.home),
    ):
        other.account.request_log.clear()
        done = place.python(*words, cwd=cwd, **outside, **same)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not sandbox.account.request_log.paths()
        assert "/v2/users/me" in other.account.request_log.paths()
        assert (place.folder / "data" / "b.duckdb").exists()
        assert not (place.folder / "data" / "a.duckdb").exists()
        if "doctor" in words:
            assert done.stderr == ""
            findings = json.loads(done.stdout)["sections"][0]["findings"]
            said = next(each for each in findings if each["subject"] == ".env")
            assert said["state"] == "warning"
            assert f"{said['text'][:-1]}; r{said['remedy'][1:]}" == expected
            found = {each["subject"]: each["text"] for each in findings}
            assert found["HARVEST_DUCKDB"] == "data/b.duckdb (.env)"
        else:
            assert done.stderr.splitlines().count(expected) == 1
            assert done.stderr.count("which wins") == 1


def test_the_first_process_of_many_says_what_the_others_cannot_see(place: Place) -> None:
    """The code server, a child of the command, has been given `.env` already."""
    place.write(HARVEST_SCHEMA="inside", HARVEST_ACCESS_TOKEN="")
    done = place.python(
        *("-m", "dagster", "schedule", "list"),
        HARVEST_SCHEMA="outside",
        HARVEST_ACCESS_TOKEN=CANARY,
    )
    assert done.returncode == 0, done.stderr
    assert "inside_recent_days" in done.stdout or "inside_reconcile" in done.stdout
    assert done.stderr.count("HARVEST_ACCESS_TOKEN and HARVEST_SCHEMA are set in") == 1
    assert CANARY not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("encoding", "command"),
    [
        ("cp1252", (*HARVEST, "sync", "clients")),
        ("utf-16", (*HARVEST, "dev", "--port", "0")),
        ("utf-16-le", (*HARVEST, "demo", "--once")),
        ("cp1252", ("-m", "dagster", "asset", "list", "-m", "harvest_pipeline.definitions")),
    ],
)
def test_a_dotenv_in_another_encoding_is_refused_in_one_sentence(
    place: Place, encoding: str, command: tuple[str, ...]
) -> None:
    (place.folder / ".env").write_bytes(f"HARVEST_CONTACT=müller@{CANARY}.de\n".encode(encoding))
    sentence = f"{place.folder / '.env'} is not a text file in UTF-8; save it as one."
    done = place.python(*command)
    assert (done.returncode, done.stderr) == (1, f"Error: {sentence}\n")
    done = place.python(*HARVEST, "doctor", "--offline")
    assert done.returncode == 1
    # Folded to the width of a terminal.
    assert sentence.partition(";")[0] in " ".join(done.stdout.split())
    assert CANARY not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le"])
@pytest.mark.parametrize(
    "words", [words for words, _ in every_command() if words != ("sandbox",)], ids=" ".join
)
def test_each_command_says_that_sentence(
    words: tuple[str, ...],
    encoding: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All but the sandbox, which reads no settings."""
    monkeypatch.delenv("PYTHON_DOTENV_DISABLED")
    monkeypatch.setattr(environment, "project_folder", lambda: tmp_path)
    (tmp_path / ".env").write_bytes("HARVEST_CONTACT=müller\n".encode(encoding))
    command = dict(every_command())[words]
    assert main([*words, *arguments_of(command)]) in (1, 2)
    printed = "".join(capsys.readouterr())
    assert f"{tmp_path / '.env'} is not a text file in UTF-8" in " ".join(printed.split())
    assert ("wrong    .env " in printed) if words == ("doctor",) else printed.count("\n") == 1


NAMES = ("HARVEST_SCHEMA", "HARVEST_DUCKDB", "HARVEST_CONTACT", "OTHER")
TEXTS = st.text("ab ${}'\"#\\=\t_HARVEST", max_size=8) | st.sampled_from(
    ["", "''", '"two words"', "'a#b' # said", "${HARVEST_DUCKDB}x", "${OTHER:-y}", "\\n"]
)
LINES = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "export ", "# ", " "]),
    st.sampled_from(NAMES),
    st.sampled_from(["=", " = ", ""]),
    TEXTS,
)


@given(lines=st.lists(LINES, max_size=6), outside=st.dictionaries(st.sampled_from(NAMES), TEXTS))
def test_whatever_stands_in_dotenv_is_read_as_dagster_reads_it_and_wins(
    lines: list[str], outside: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("dotenv")
    (folder / ".env").write_text("\n".join(lines))
    sentences: list[str] = []
    # All of the environment is put back: the names that `load_environment` sets are made up.
    with mock.patch.dict(os.environ), pytest.MonkeyPatch.context() as patch:
        for name in (*NAMES, "PYTHON_DOTENV_DISABLED"):
            patch.delenv(name, raising=False)
        for name, text in outside.items():
            patch.setenv(name, text)
        patch.setattr(environment, "project_folder", lambda: folder)
        patch.setattr(environment, "_NAMED", set())
        inside = get_env_var_dict(str(folder))
        assert dotenv() == inside
        seen = load_environment(sentences.append)
        assert {name: seen.get(name) for name in NAMES} == {
            name: inside.get(name, outside.get(name)) for name in NAMES
        }
    differing = [n for n in NAMES if n in inside and outside.get(n, inside[n]) != inside[n]]
    named = [n for n in differing if n.startswith("HARVEST_")]
    assert len(sentences) == bool(named)
    assert all(name in "".join(sentences).partition(" set in ")[0] for name in named)


@pytest.mark.parametrize(
    ("line", "mode", "closed"),
    [
        ("HARVEST_ACCESS_TOKEN=canary-4711", 0o644, True),
        ("HARVEST_ACME_REFRESH_TOKEN=canary-4711", 0o640, True),
        ("HARVEST_STATE_KEY=canary-4711", 0o644, True),
        ("PGPASSWORD=canary-4711", 0o644, True),
        ("HARVEST_ACCESS_TOKEN=canary-4711", 0o400, False),
        ("HARVEST_ACCESS_TOKEN=", 0o644, False),
        ("HARVEST_TIMEZONE=UTC", 0o644, False),
    ],
)
def test_a_dotenv_with_credentials_is_closed_to_others_with_one_sentence(
    line: str, mode: int, closed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".env"
    path.write_text(f"{line}\n")
    path.chmod(mode)
    monkeypatch.setattr(environment, "project_folder", lambda: tmp_path)
    told: list[str] = []
    with mock.patch.dict(os.environ):
        monkeypatch.delenv("PYTHON_DOTENV_DISABLED")
        load_environment(told.append, closing=False)
        assert (told, path.stat().st_mode & 0o777) == ([], mode)
        for _ in range(2):
            load_environment(told.append)
    if closed:
        assert told == [
            f"{path} was open to other users of this machine ({mode:04o}), and is now for you "
            "alone, since it holds credentials; renew them if somebody may have read them."
        ]
    assert (told != [], path.stat().st_mode & 0o777) == (closed, mode & 0o700 if closed else mode)


def test_a_dotenv_that_may_not_be_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> io.TextIOBase:
        raise PermissionError(13, "Permission denied")

    (tmp_path / ".env").write_text("HARVEST_SCHEMA=a\n")
    monkeypatch.delenv("PYTHON_DOTENV_DISABLED")
    monkeypatch.setattr(environment, "project_folder", lambda: tmp_path)
    monkeypatch.setattr("dotenv.main.open", refused, raising=False)  # root may read everything
    with pytest.raises(SettingsError, match="cannot be read: Permission denied; make it readable"):
        dotenv()
