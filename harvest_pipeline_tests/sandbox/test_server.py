"""The server and the command."""

import os
import re
import signal
import subprocess
import sys
import time

import requests

from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.visitor import TODAY, Visitor
from harvest_pipeline_tests.waiting import PATIENCE


def test_a_full_page_of_entries_is_served_quickly() -> None:
    with SandboxServer(today=TODAY, rate_limit=None) as sandbox:
        visitor = Visitor(sandbox)
        visitor.get("/time_entries")
        started = time.process_time()
        for page in range(1, 5):
            assert len(visitor.get("/time_entries", page=page).content) > 1_000_000
        # client and server together, in this process
        assert (time.process_time() - started) / 4 < 1


def test_without_today_the_account_ends_now() -> None:
    with SandboxServer(years=0.1) as sandbox:
        clock = sandbox.account.clock
        assert abs(clock.now().timestamp() - time.time()) < 60
        days = [entry.spent_date for entry in sandbox.account.records.time_entries]
        assert max(days) <= clock.today()
        assert sandbox.first_day <= min(days)


_MAIN = "import sys; from harvest_pipeline.cli.main import main; sys.exit(main())"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", _MAIN, "sandbox", *arguments]


def test_the_command_serves_until_ctrl_c() -> None:
    options = ("--port", "0", "--years", "0.1", "--today", "2026-11-20")
    with subprocess.Popen(command(*options), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = ""
        while "Ctrl-C" not in printed:
            printed += process.stdout.readline()
        exported = dict(re.findall(r"^export (\w+)=(.*)$", printed, re.MULTILINE))
        assert set(exported) == {
            "HARVEST_API_URL", "HARVEST_ID_URL", "HARVEST_ACCESS_TOKEN", "HARVEST_ACCOUNT_ID",
            "HARVEST_CONTACT",
        }  # fmt: skip
        for name in ("HARVEST_CLIENT_ID", "HARVEST_CLIENT_SECRET", "HARVEST_REFRESH_TOKEN"):
            assert name in printed
        headers = {
            "Authorization": f"Bearer {exported['HARVEST_ACCESS_TOKEN']}",
            "Harvest-Account-Id": exported["HARVEST_ACCOUNT_ID"],
        }
        address = f"{exported['HARVEST_API_URL']}/time_entries"
        page = requests.get(address, headers=headers, timeout=PATIENCE).json()
        assert page["total_entries"] > 100
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE)
        assert "The sandbox has stopped." in rest
        assert process.returncode == 0


def test_the_command_names_what_is_wrong() -> None:
    with SandboxServer(today=TODAY, years=0.1) as sandbox:
        taken = subprocess.run(
            command("--port", str(sandbox.port)), capture_output=True, text=True, check=False
        )
    assert taken.returncode == 1
    assert f"Port {sandbox.port} cannot be used" in taken.stderr
    empty = subprocess.run(
        command("--port", "0", "--scale", "0"), capture_output=True, text=True, check=False
    )
    assert empty.returncode == 1
    assert "--scale" in empty.stderr


def test_serving_needs_neither_dagster_nor_duckdb_nor_the_client() -> None:
    program = (
        "import sys, harvest_pipeline.cli.sandbox; "
        "print([name for name in sys.modules if name.split('.')[0] in ('dagster', 'duckdb', "
        "'pandas', 'requests') or name.startswith(('harvest_pipeline.harvest', "
        "'harvest_pipeline.warehouse'))])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ
    )
    assert found.stdout.strip() == "[]"
