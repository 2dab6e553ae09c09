"""What `harvest-pipeline dev` refuses in one sentence, and the Dagster home that it makes."""

import socket
import stat
import subprocess
from pathlib import Path

import pytest

from harvest_pipeline.cli.local import dagster_environment
from harvest_pipeline.cli.main import main
from harvest_pipeline.settings import project_folder


def told(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What `harvest-pipeline dev` says when it ends at once."""
    assert main(["dev", *options]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1
    return printed.err


def test_a_port_that_cannot_be_had_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert told(capsys, "--port", str(port)) == (
            f"Error: Port {port} cannot be used (Address already in use); give another with "
            "--port.\n"
        )
    assert told(capsys, "--port", "99999").startswith("Error: Port 99999 cannot be used (")


@pytest.mark.parametrize(
    "name",
    ["", "*", "*.example.com", "https://a.example", "a.example/", "a b", "a,b", "a:b", "a\r\nb"],
)
def test_a_proxys_name_that_is_no_host_name_is_told(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert "is not a host name; give the name" in told(capsys, "--allow-host", name)


def test_a_home_that_is_not_there_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "none"))
    assert told(capsys).startswith("Error: DAGSTER_HOME is not the full path")


def test_the_home_that_is_made_is_the_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "dagster" / "sandbox"
    (tmp_path / "dagster").mkdir(mode=0o700)
    home.mkdir(mode=0o755)
    for _ in ("made before", "made now"):
        environment = dagster_environment({"A": "b"}, home)
        assert environment == {
            "A": "b",
            "DAGSTER_HOME": str(home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
        }
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert (home / "dagster.yaml").samefile(project_folder() / "dagster.yaml")
        (home / "dagster.yaml").unlink()
        home.rmdir()


def test_make_has_a_way_to_look_only() -> None:
    command = ["make", "-n", "-C", str(project_folder()), "dev", "READ_ONLY=1"]
    assert '/harvest-pipeline" dev --read-only' in subprocess.check_output(command, text=True)
