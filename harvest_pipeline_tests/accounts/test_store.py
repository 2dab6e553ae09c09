"""The store of accounts: what is in it, and that old and new never mix."""

import os
import signal
import stat
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from harvest_pipeline.accounts import store as store_module
from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import Secrets, check_name
from harvest_pipeline.harvest.errors import StoreBusy, StoreUnusable
from harvest_pipeline_tests.accounts.conftest import (
    SECRETS,
    Connect,
    account_of,
    forked,
    killed_while_it_writes,
)
from harvest_pipeline_tests.waiting import soon

URL = "https://id.getharvest.com"


def test_an_account_comes_back_as_it_was_stored(store: AccountStore, connect: Connect) -> None:
    zeta, acme = connect(URL, name="zeta", instance=None, role="member"), connect(URL)
    assert store.accounts() == [acme, zeta]
    assert store.find("zeta") == zeta
    assert store.find("other") is None
    assert store.secrets(acme) == SECRETS
    assert store.vault_kind == "file"


def test_other_files_in_the_folder_are_no_accounts(
    store: AccountStore, folder: Path, connect: Connect
) -> None:
    acme = connect(URL)
    for name in ("Notes.json", "a b.json", ".zeta.json.unfinished", "zeta.jsonl", ".json"):
        (folder / name).write_text("{}")
    (folder / "Zeta.json").mkdir()
    assert store.accounts() == [acme]


def test_looking_makes_no_folder(store: AccountStore, folder: Path) -> None:
    assert store.accounts() == []
    assert store.find("acme") is None
    assert not store.remove("acme")
    assert not folder.parent.exists()


def test_all_files_are_private_and_only_one_holds_the_secret(
    folder: Path, connect: Connect
) -> None:
    before = os.umask(0)
    try:
        connect(URL)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"acme.json": 0o600, "acme.secret": 0o600, "acme.lock": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir() if b"refresh-0" in path.read_bytes()] == [
        "acme.secret"
    ]


def test_a_removed_account_leaves_no_secret(
    store: AccountStore, folder: Path, connect: Connect
) -> None:
    connect(URL)
    assert store.remove("acme")
    assert not store.remove("acme")
    assert store.accounts() == []
    assert [path.name for path in folder.iterdir()] == ["acme.lock"]


def test_what_may_be_seen_can_be_updated_without_touching_the_secrets(
    store: AccountStore, connect: Connect
) -> None:
    acme = connect(URL)
    store.replace_secrets(acme, renewed := replace(SECRETS, access_token="access-1"))
    store.update(replace(acme, role="manager"))
    assert store.accounts() == [replace(acme, role="manager")]
    assert store.secrets(acme) == renewed


def test_an_update_does_not_bring_back_what_is_gone(store: AccountStore, connect: Connect) -> None:
    former = connect(URL)
    acme = connect(URL, connected_at=former.connected_at + timedelta(seconds=1))
    store.update(replace(former, role="member"))
    assert store.find("acme") == acme
    store.remove("acme")
    store.update(acme)
    assert store.accounts() == []


def test_the_secrets_of_another_sign_in_are_not_given_out(
    store: AccountStore, connect: Connect
) -> None:
    former = connect(URL)
    connect(URL, account_id="2", connected_at=former.connected_at + timedelta(seconds=1))
    with pytest.raises(StoreUnusable, match="acme has just been connected anew"):
        store.secrets(former)


@pytest.mark.parametrize(
    "name", ["", "Acme", "1acme", "_acme", "acme-2", "a" * 41, "acme\n", "../acme", "äcme", "a b"]
)
def test_a_name_that_is_none_is_refused_in_one_line(name: str, store: AccountStore) -> None:
    for use in (check_name, store.find, store.remove, lambda name: store.lock(name).__enter__()):
        with pytest.raises(StoreUnusable, match="cannot be the name of an account") as caught:
            use(name)
        assert str(caught.value).isprintable()
    assert check_name("a" * 40) == "a" * 40
    assert check_name("acme_2") == "acme_2"


@pytest.mark.parametrize("content", ["", "{}", "[" * 10_000, "\udcff", '{"name": "acme"}', "copy"])
def test_a_damaged_entry_is_named_and_can_be_removed(
    content: str, store: AccountStore, folder: Path, connect: Connect
) -> None:
    connect(URL, name="other")
    connect(URL)
    path = folder / "acme.json"
    if content == "copy":  # somebody renamed a file
        path.write_bytes((folder / "other.json").read_bytes())
    else:
        path.write_bytes(content.encode(errors="surrogateescape"))
    for use in (store.accounts, lambda: store.find("acme")):
        with pytest.raises(StoreUnusable, match=r"acme\.json is damaged; run .*remove acme`"):
            use()
    assert store.remove("acme")
    assert [account.name for account in store.accounts()] == ["other"]
    assert not (folder / "acme.secret").exists()


def test_a_damaged_entry_is_replaced_by_connecting_again(
    store: AccountStore, folder: Path, connect: Connect
) -> None:
    connect(URL)
    (folder / "acme.json").write_text("{")
    assert store.find(connect(URL).name) is not None


@pytest.mark.parametrize(("content", "said"), [(None, "missing"), (b"{}", "damaged")])
def test_a_lost_secret_is_told_with_the_command_that_mends_it(
    content: bytes | None, said: str, store: AccountStore, folder: Path, connect: Connect
) -> None:
    acme = connect(URL)
    (folder / "acme.secret").unlink()
    if content is not None:
        (folder / "acme.secret").touch(0o600)
        (folder / "acme.secret").write_bytes(content)
    with pytest.raises(StoreUnusable, match=f"{said}; run `harvest-pipeline connect --name acme`"):
        store.secrets(acme)
    assert store.accounts() == [acme]  # listing needs no secret


@pytest.mark.parametrize("named", ["accounts", "./accounts", "keyrings", "~nobody-such/x"])
def test_a_relative_folder_is_refused(named: str) -> None:
    with pytest.raises(StoreUnusable, match="HARVEST_TOKEN_STORE is"):
        AccountStore.from_environment({"HARVEST_TOKEN_STORE": named})


def test_the_folder_is_that_of_the_users_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for named in ({}, {"HARVEST_TOKEN_STORE": " "}):
        assert AccountStore.from_environment(named).folder == tmp_path / "harvest_pipeline"
    home = AccountStore.from_environment({"HARVEST_TOKEN_STORE": "~/tokens"}).folder
    assert home == Path.home() / "tokens"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_without_a_home_is_told_what_to_set() -> None:
    def look() -> None:
        os.setuid(54321)  # of whom /etc/passwd knows nothing, as in many containers
        os.environ.pop("HOME", None)
        os.environ.pop("XDG_CONFIG_HOME", None)
        with pytest.raises(StoreUnusable, match="This user has no home folder"):
            AccountStore.from_environment({})

    assert os.waitpid(forked(look), 0)[1] == 0


def test_one_holds_the_lock_and_others_wait(store: AccountStore) -> None:
    order: list[str] = []

    def wait() -> None:
        with store.lock("acme"):
            order.append("second")

    waiting = threading.Thread(target=wait)
    with store.lock("acme"):
        waiting.start()
        time.sleep(0.2)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_accounts_do_not_wait_for_each_other(store: AccountStore) -> None:
    with soon(), store.lock("acme"), store.lock("zeta"):
        pass


def test_a_lock_that_is_never_given_back_is_told(
    store: AccountStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_LOCK_SECONDS", 0.2)
    with (
        store.lock("acme"),
        pytest.raises(StoreBusy, match="Another process has held") as caught,
        store.lock("acme"),
    ):
        pass
    assert caught.value.retryable


def test_the_lock_of_a_process_that_was_killed_is_free(store: AccountStore) -> None:
    reading, writing = os.pipe()

    def hold() -> None:
        with store.lock("acme"):
            os.write(writing, b"held")
            time.sleep(600)

    child = forked(hold)
    assert os.read(reading, 4) == b"held"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with store.lock("acme"):
        pass
    os.close(reading)
    os.close(writing)


def test_old_and_new_account_never_mix_when_saving_is_killed(store: AccountStore) -> None:
    signed_in = datetime.now(UTC)
    both = [
        (
            account_of(URL, account_id=f"{n}", connected_at=signed_in + timedelta(seconds=n)),
            Secrets(access_token=f"of {n}"),
        )
        for n in range(2)
    ]
    store.save(*both[0])
    told = 0
    for _ in range(60):
        killed_while_it_writes([partial(store.save, *each) for each in both])
        account = store.find("acme")
        assert account is not None
        try:
            assert store.secrets(account).access_token == f"of {account.account_id}"
        except StoreUnusable as error:
            assert "run `harvest-pipeline connect --name acme` again" in str(error)
            told += 1
    assert told < 60
    store.save(*both[1])
    assert store.secrets(both[1][0]) == both[1][1]
