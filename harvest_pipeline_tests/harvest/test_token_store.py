"""The token store: private, replaced whole, in the keyring where that is usable."""

import json
import os
import random
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import keyring
import pytest
from keyring.backends import fail

from harvest_pipeline.harvest import vaults
from harvest_pipeline.harvest.errors import StoreBusy, StoreUnusable
from harvest_pipeline.harvest.oauth import TokenSet
from harvest_pipeline.harvest.token_store import TokenStore, check_name
from harvest_pipeline.harvest.vaults import FileVault
from harvest_pipeline_tests.harvest import keyrings
from harvest_pipeline_tests.harvest.connected import KEY, TOKENS, account_of, forked
from harvest_pipeline_tests.waiting import soon

RENEWED = "environment-0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the store will be; not made yet."""
    return tmp_path / "config" / "accounts"


@pytest.fixture
def store(folder: Path) -> TokenStore:
    return TokenStore.from_environment({"HARVEST_TOKEN_STORE": str(folder)})


@pytest.fixture(params=["file", "shared"])
def any_store(request: pytest.FixtureRequest, store: TokenStore) -> TokenStore:
    """The store of one machine, and the one that several share."""
    if request.param == "file":
        return store
    state = request.getfixturevalue("postgres").database()
    named = {"HARVEST_STATE": state, "HARVEST_STATE_KEY": KEY, "HARVEST_TOKEN_STORE": "keyring"}
    return TokenStore.from_environment(named)


def test_what_is_stored_comes_back(any_store: TokenStore) -> None:
    store = any_store
    acme, zeta = account_of(), account_of(name="zeta", instance=None, role="member")
    for account in (zeta, acme):
        store.save(account)
    store.keep(RENEWED, TokenSet(refresh_token="of a variable"))
    assert store.names() == ["acme", "zeta"]
    assert (store.find("zeta"), store.find("other")) == (zeta, None)
    assert store.tokens("acme") == TOKENS
    assert store.tokens(RENEWED) == TokenSet(refresh_token="of a variable")
    store.keep("acme", renewed := replace(TOKENS, access_token="access-1"))
    assert store.find("acme") == replace(acme, tokens=renewed)
    assert store.remove("acme") and not store.remove("acme")
    assert (store.names(), store.tokens("acme")) == (["zeta"], None)


def test_looking_makes_no_folder(store: TokenStore, folder: Path) -> None:
    assert (store.names(), store.find("acme"), store.remove("acme")) == ([], None, False)
    assert not folder.parent.exists()


def test_every_file_is_private_and_a_removed_secret_is_in_none(
    store: TokenStore, folder: Path
) -> None:
    before = os.umask(0)
    try:
        store.save(account_of())
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "refresh-0" in (folder / "accounts.json").read_text()
    store.remove("acme")
    assert not [path for path in folder.iterdir() if "refresh-0" in path.read_text()]


@pytest.mark.parametrize(
    ("opened", "mode", "remedy"), [("accounts.json", 0o640, "600"), (".", 0o755, "700")]
)
def test_a_store_that_others_can_read_is_refused_with_the_remedy(
    opened: str, mode: int, remedy: str, store: TokenStore, folder: Path
) -> None:
    store.save(account_of())
    (folder / opened).chmod(mode)
    with pytest.raises(StoreUnusable, match=rf"open to other users .*`chmod {remedy} "):
        store.find("acme")


@pytest.mark.parametrize("what", ["parent", "folder", "file"])
def test_a_link_that_may_lead_elsewhere_is_refused(what: str, tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    TokenStore(FileVault(real / "store"), "file").save(account_of())
    if what == "parent":
        link.symlink_to(real)
        folder, named = link / "store", link
    elif what == "folder":
        link.symlink_to(real / "store")
        folder = named = link
    else:
        folder, named = link, link / "accounts.json"
        link.mkdir(mode=0o700)
        named.symlink_to(real / "store" / "accounts.json")
    store = TokenStore(FileVault(folder), "file")
    for use in (store.names, lambda: store.save(account_of())):
        with pytest.raises(StoreUnusable, match=f"^{named} is a link, .*name the folder itself"):
            use()


def test_a_folder_in_which_everybody_may_replace_the_store_is_refused(tmp_path: Path) -> None:
    store = TokenStore(FileVault(tmp_path / "shared" / "mine" / "store"), "file")
    store.save(account_of())
    (tmp_path / "shared").chmod(0o1777)  # as /tmp: nobody may rename what belongs to others
    assert store.names() == ["acme"]
    (tmp_path / "shared").chmod(0o777)
    for use in (store.names, lambda: store.save(account_of())):
        with pytest.raises(StoreUnusable, match=rf"`chmod o-w {tmp_path / 'shared'}`"):
            use()


def test_a_file_where_the_folder_should_be_is_told(store: TokenStore, folder: Path) -> None:
    folder.parent.mkdir()
    folder.touch()
    for use in (store.names, lambda: store.save(account_of())):
        with pytest.raises(StoreUnusable, match=r"cannot be used: .*HARVEST_TOKEN_STORE"):
            use()


@pytest.mark.parametrize("name", ["", "Acme", "1acme", "acme-2", "a" * 41, "acme\n", "../acme"])
def test_a_name_that_cannot_be_is_refused_in_one_line(name: str, store: TokenStore) -> None:
    with pytest.raises(StoreUnusable, match="cannot be the name of an account") as caught:
        store.find(name)
    assert str(caught.value).isprintable()
    assert check_name("a" * 40) == "a" * 40


def test_a_damaged_file_is_named(store: TokenStore, folder: Path) -> None:
    store.save(account_of())
    for content in ("", "[" * 10_000, "7", '{"acme": '):
        (folder / "accounts.json").write_text(content)
        with pytest.raises(StoreUnusable, match=r"accounts\.json is damaged; remove it"):
            store.find("acme")


def test_a_damaged_entry_can_be_removed_or_replaced(store: TokenStore, folder: Path) -> None:
    (other, acme) = account_of(name="other"), account_of()
    store.save(other)
    path = folder / "accounts.json"
    for mend in (store.remove, lambda _: store.save(acme)):
        path.write_text(json.dumps({**json.loads(path.read_text()), "acme": {"name": "acme"}}))
        with pytest.raises(StoreUnusable, match=r"acme is damaged; run .*connect --name acme`"):
            store.find("acme")
        mend("acme")
    assert (store.find("acme"), store.find("other")) == (acme, other)


@pytest.mark.parametrize("named", ["accounts", "./accounts", "keyrings", "~nobody-such/x"])
def test_a_relative_folder_is_refused(named: str) -> None:
    with pytest.raises(StoreUnusable, match="HARVEST_TOKEN_STORE must be"):
        TokenStore.from_environment({"HARVEST_TOKEN_STORE": named})


def test_the_folder_is_that_of_the_users_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for named in ({}, {"HARVEST_TOKEN_STORE": " "}):
        assert TokenStore.from_environment(named).vault.folder == tmp_path / "harvest_pipeline"
    home = TokenStore.from_environment({"HARVEST_TOKEN_STORE": "~/tokens"}).vault.folder
    assert home == Path.home() / "tokens"


def test_one_holds_a_lock_and_others_wait_but_not_those_of_another_account(
    any_store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = any_store
    order: list[str] = []

    def wait() -> None:
        with store.lock("acme"):
            order.append("second")

    waiting = threading.Thread(target=wait)
    with store.lock("acme"):
        waiting.start()
        with soon(), store.lock("zeta"):
            time.sleep(0.2)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]
    monkeypatch.setattr(vaults, "_LOCK_SECONDS", 0.2)
    with store.lock("acme"), pytest.raises(StoreBusy, match="Another process has held") as caught:
        wait()
    assert caught.value.retryable


def test_the_lock_of_a_process_that_was_killed_is_free(any_store: TokenStore) -> None:
    store = any_store

    def hold() -> None:
        with store.lock("acme"):
            os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(forked(hold), 0)
    with soon(), store.lock("acme"):
        pass


def test_a_process_that_is_killed_while_it_writes_leaves_the_old_or_the_new(
    store: TokenStore, folder: Path
) -> None:
    of = [account_of(account_id=f"{n}", tokens=TokenSet(access_token=f"{n}")) for n in range(2)]
    store.save(of[0])

    def write_for_ever() -> None:
        while True:
            for account in of:
                store.save(account)

    for _ in range(30):
        child = forked(write_for_ever)
        time.sleep(random.uniform(0.005, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        account = store.find("acme")
        assert account and account.tokens.access_token == account.account_id
    assert len(list(folder.glob("*.unfinished"))) <= 1


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., TokenStore]]:
    """The store of a session of the same person, which has some keyring or none."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("TEST_KEYRING", str(tmp_path / "keyring.json"))
    usual = keyring.get_keyring()

    def store(backend: type = fail.Keyring, named: str = "") -> TokenStore:
        keyring.set_keyring(backend())
        return TokenStore.from_environment({"HARVEST_TOKEN_STORE": named})

    yield store
    keyring.set_keyring(usual)


def with_the_secret(folder: Path) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.name for path in paths if "refresh-0" in path.read_text())


def test_a_usable_keyring_keeps_the_account_and_the_file_says_so(
    session: Callable[..., TokenStore], tmp_path: Path
) -> None:
    store = session(keyrings.Good)
    store.save(acme := account_of())
    store.keep("acme", replace(TOKENS, access_token="access-1"))
    assert with_the_secret(tmp_path) == ["keyring.json"]
    assert (store.kept_in("acme"), store.find("acme")) == (
        "keyring",
        replace(acme, tokens=replace(TOKENS, access_token="access-1")),
    )
    # A keyring answers in a person's session, and not in the next job of cron.
    store.keep(RENEWED, TOKENS)
    assert store.kept_in(RENEWED) == "file"
    assert session(fail.Keyring).tokens(RENEWED) == TOKENS
    for backend, said in (
        (fail.Keyring, "no system keyring"),
        (keyrings.Locked, r"cannot be used \(Failed to unlock the collection!\); unlock it"),
    ):
        assert session(backend).names() == ["acme"]
        for use in (lambda s: s.find("acme"), lambda s: s.remove("acme")):
            with pytest.raises(StoreUnusable, match=said):
                use(session(backend))
    assert session(keyrings.Good).remove("acme")
    assert with_the_secret(tmp_path) == ["accounts.json"]


@pytest.mark.parametrize("backend", [fail.Keyring, keyrings.PlainText, keyrings.Locked])
def test_without_a_usable_keyring_a_private_file_keeps_the_secret(
    backend: type, session: Callable[..., TokenStore], tmp_path: Path
) -> None:
    store = session(backend)
    store.save(account_of())
    assert (store.kept_in("acme"), with_the_secret(tmp_path)) == ("file", ["accounts.json"])


def test_an_account_that_moves_from_the_keyring_to_a_file_leaves_nothing_there(
    session: Callable[..., TokenStore], tmp_path: Path
) -> None:
    session(keyrings.Good).save(account_of())
    store = session(keyrings.Good, named=str(tmp_path / "harvest_pipeline"))
    store.save(account_of())
    assert with_the_secret(tmp_path) == ["accounts.json"]


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        (fail.Keyring, r"no system keyring \(there is only 'fail Keyring'\)"),
        (keyrings.PlainText, "no system keyring"),
        (keyrings.Locked, r"cannot be used \(KeyringLocked\)"),
        (keyrings.Telling, r"cannot be used \(ZeroDivisionError\)"),
        (keyrings.Forgetful, "did not keep the secret of acme; set HARVEST_TOKEN_STORE"),
    ],
)
def test_a_keyring_that_was_asked_for_and_fails_is_one_sentence_without_the_secret(
    backend: type, said: str, session: Callable[..., TokenStore], tmp_path: Path
) -> None:
    with pytest.raises(StoreUnusable, match=said) as caught:
        session(backend, named="keyring").save(account_of())
    assert "refresh-0" not in str(caught.value)
    assert with_the_secret(tmp_path) == []
