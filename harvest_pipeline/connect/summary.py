"""What `harvest-pipeline connect` says in the end: what was connected, and what to do next.

Belongs here: those words. Does not belong here: anything that can fail.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from tabulate import tabulate

from harvest_pipeline.access import winning_variables
from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.accounts.stored import StoredAccount
from harvest_pipeline.settings import Account
from harvest_pipeline.settings.values import is_loopback


def told(
    account: StoredAccount,
    store: AccountStore,
    project: Sequence[Account],
    environment: Mapping[str, str],
) -> str:
    """The summary; `project` are the accounts that the project reads."""
    facts = {
        "company": account.account_name,
        "account id": account.account_id,
        "instance": account.instance or "(only an administrator is shown it)",
        "person": f"{account.user_name}, {account.role}",
        "stored as": account.name,
        "secret in": f"the folder {store.folder}, unencrypted, for you alone to read"
        if account.vault == "file"
        else "the keyring of this system",
    }
    parts = ["Connected.", tabulate(facts.items(), tablefmt="plain")]
    if account.role != "administrator":
        parts.append(
            f"Take care: Harvest shows a {account.role} less than an administrator, and does not "
            "say so. Tables will lack what this person may not see."
        )
    if is_loopback(urlsplit(account.api_url).hostname or ""):
        parts.append(
            "This account is a sandbox; it is read where these are set:\n\n"
            f"export HARVEST_API_URL={account.api_url}\nexport HARVEST_ID_URL={account.id_url}"
        )
    parts.append(_next(account, project, environment))
    return "\n\n".join(parts)


def _next(
    account: StoredAccount, project: Sequence[Account], environment: Mapping[str, str]
) -> str:
    mine = [settings for settings in project if settings.name == account.name]
    if not mine:
        return (
            "Next: name it in harvest.yaml, beside the accounts that are there, and run `make dev`."
            f"\n\naccounts:\n  - name: {account.name}"
        )
    winning = winning_variables(mine[0], environment)
    if winning:
        return (
            f"Next: remove {' and '.join(winning)} from the environment and .env, since variables "
            "win over a stored account; then run `make dev`."
        )
    return "Next: run `make dev`."
