"""A process that uses the stored account acme, as a run of the pipeline does.

`python -m harvest_pipeline_tests.accounts.worker FOLDER`: asks Harvest once for every line that it
is sent, and says how that went in one line each.
"""

import sys
from pathlib import Path

import msgspec

from harvest_pipeline.accounts.credentials import stored_credentials
from harvest_pipeline.accounts.store import AccountStore
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import HarvestError
from harvest_pipeline_tests.harvest.conftest import LIMITS, PATIENCE


def main(folder: Path) -> None:
    store = AccountStore(folder, "file")
    account = store.find("acme")
    assert account is not None
    client = HarvestClient(
        api_url=account.api_url,
        id_url=account.id_url,
        credentials=stored_credentials(store, account, account.api_url, account.id_url),
        account_id=account.account_id,
        instance=None,
        contact="tests@example.com",
        state_folder=folder.parent / "state",
        log=lambda line: None,
        # Eight of these on two cores: an answer may take its time.
        patience=PATIENCE,
        limits=LIMITS,
    )
    print("ready", flush=True)
    for _ in sys.stdin:
        try:
            client.get(f"{account.api_url}/users/me", msgspec.json.Decoder(dict[str, object]))
        except HarvestError as error:
            print(type(error).__name__, error, flush=True)
        else:
            print("ok", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
