"""The token store in the database that machines share: encrypted, by keys that can be changed."""

from collections.abc import Callable

import pytest
from cryptography.fernet import Fernet

from harvest_pipeline.harvest.errors import StateUnreachable, StoreKeyWrong, StoreUnusable
from harvest_pipeline.harvest.token_store import TokenStore
from harvest_pipeline.settings import SettingsError
from harvest_pipeline_tests.harvest.connected import KEY, TOKENS, account_of
from harvest_pipeline_tests.postgres import Postgres

NEW = Fernet.generate_key().decode()
#: Of a variable's refresh token.
RENEWED = "environment-0123456789abcdef"
Store = Callable[..., TokenStore]


@pytest.fixture
def address(postgres: Postgres) -> str:
    return postgres.database()


@pytest.fixture
def store(address: str) -> Store:
    """The store of a machine with a key."""

    def of(key: str = KEY) -> TokenStore:
        return TokenStore.from_environment({"HARVEST_STATE": address, "HARVEST_STATE_KEY": key})

    return of


def content(postgres: Postgres, address: str) -> dict[str, bytes]:
    rows = postgres.execute("SELECT key, content FROM harvest_state.entries", address)
    return {str(key): bytes(text) for key, text in rows}


def test_what_is_stored_is_encrypted_and_says_where_it_is(
    store: Store, postgres: Postgres, address: str
) -> None:
    store().save(account_of())
    store().keep(RENEWED, TOKENS)
    kept = content(postgres, address)
    assert kept.keys() == {"acme", RENEWED}
    for text in kept.values():
        assert text.startswith(b"gAAAAA")  # a token of Fernet
        assert not [word for word in (b"refresh", b"Acme", b"secret") if word in text]
    assert store().kept_in("acme") == "shared"
    assert store().where("acme") == (
        f"{address} (HARVEST_STATE), encrypted, for all machines that have its HARVEST_STATE_KEY"
    )


def test_a_key_is_changed_while_both_are_there_and_nobody_connects_again(
    store: Store, postgres: Postgres, address: str
) -> None:
    for name in ("acme", "zeta"):
        store().save(account_of(name=name))
    new = store(f"{NEW}, {KEY}")
    assert new.vault.old() == ["acme", "zeta"]
    assert new.find("acme") == store(f"{KEY},{NEW}").find("acme")
    assert new.find("acme") == store(NEW).find("acme")  # encrypted again when it was read
    assert new.vault.old() == ["zeta"]
    new.keep("zeta", TOKENS)
    assert new.vault.old() == []
    assert store(NEW).tokens("zeta") == TOKENS
    with pytest.raises(StoreKeyWrong):
        store().find("acme")


def test_a_wrong_key_is_one_sentence_and_replaces_nothing(store: Store, address: str) -> None:
    store().save(acme := account_of())
    wrong = store(NEW)
    with pytest.raises(StoreKeyWrong) as caught:
        wrong.find("acme")
    assert str(caught.value) == (
        f"What {address} (HARVEST_STATE) keeps of acme was not encrypted with this "
        "HARVEST_STATE_KEY; set the key that it was connected with, or run `harvest-pipeline "
        "accounts remove acme` and connect again."
    )
    assert wrong.names() == ["acme"]
    with pytest.raises(StoreKeyWrong):
        wrong.keep("acme", TOKENS)
    assert store().find("acme") == acme
    assert wrong.remove("acme")
    assert store().names() == []


def test_an_entry_in_the_place_of_another_one_is_refused(
    store: Store, postgres: Postgres, address: str
) -> None:
    """By somebody who can write into the database, and has no key."""
    for name in ("acme", "zeta"):
        store().save(account_of(name=name))
    moved = content(postgres, address)["zeta"].decode()
    postgres.execute(
        f"UPDATE harvest_state.entries SET content = '{moved}'::bytea WHERE key = 'acme'", address
    )
    with pytest.raises(StoreKeyWrong, match="keeps of acme was not encrypted with this"):
        store().find("acme")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "HARVEST_STATE_KEY is not set, .*`openssl rand -base64 32` makes one"),
        (" , ", "HARVEST_STATE_KEY is not set"),
        ("canary", "HARVEST_STATE_KEY is no key, or one of several is none: each has 32 bytes"),
        (f"{KEY},canary-canary-canary", "HARVEST_STATE_KEY is no key, or one of several"),
        (KEY[:-5] + "=", "HARVEST_STATE_KEY is no key"),
        ("é" * 44, "HARVEST_STATE_KEY is no key"),
    ],
)
def test_a_key_that_is_none_is_one_sentence_before_anybody_consents(
    key: str, said: str, store: Store
) -> None:
    for use in (lambda s: s.kept_in("acme"), lambda s: s.save(account_of())):
        with pytest.raises(StoreUnusable, match=said) as caught:
            use(store(key))
        told = [str(caught.value), repr(caught.value.__cause__), repr(caught.value.__context__)]
        assert "canary" not in "".join(told)
    assert store(key).names() == []


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://harvest:canary@db/harvest",
        "postgres://harvest:can@ary@db/harvest",
        "postgresql://db/harvest?user=harvest&password=canary",
        "postgresql://db/harvest?pass%77ord=canary@x",
    ],
)
def test_a_password_in_the_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(SettingsError) as caught:
        TokenStore.from_environment({"HARVEST_STATE": address})
    message = caught.value.message
    assert message.startswith("HARVEST_STATE: ")
    assert "PGPASSWORD" in message or "this is not an address such as" in message
    assert "can" not in message.replace("cannot", "")


def test_a_database_that_is_away_is_one_sentence(store: Store, postgres: Postgres) -> None:
    postgres.stop()
    try:
        with pytest.raises(StateUnreachable, match="accounts are stored, cannot be used: Con"):
            store().names()
    finally:
        postgres.start()
