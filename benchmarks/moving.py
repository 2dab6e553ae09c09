"""Records are made, deleted and changed between the pages of a read (R15).

    .venv/bin/python -m benchmarks.moving [seeds]

200 accounts in turmoil, each read by page number and by cursor. A read that is handed over must be
the list of the account at some moment: nothing lost, nothing twice.
"""

import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.harvest.auth import PersonalAccessToken
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.errors import ReadNotProven
from harvest_pipeline.harvest.extract import read
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.harvest.conftest import LIMITS, PATIENCE
from harvest_pipeline_tests.harvest.fault_server import FaultServer
from harvest_pipeline_tests.harvest.harvest_lists import MovingEntries
from harvest_pipeline_tests.harvest.test_extract import OCTOBER, ids_of


def is_proven(record: Record, window: Window | None, seed: int, folder: Path) -> bool:
    """Read an account that moves; whether a list was handed over. Stops at a wrong one."""
    chance = random.Random(seed)
    with FaultServer(entries := MovingEntries(40, per_page=7, key=record.envelope)) as server:
        client = HarvestClient(
            api_url=f"{server.url}/v2",
            id_url=server.url,
            credentials=PersonalAccessToken("a-token"),
            account_id="1",
            instance=None,
            contact="benchmarks@example.com",
            state_folder=folder,
            log=lambda line: None,
            patience=PATIENCE,
            limits=LIMITS,
        )

        def change(request: int) -> None:
            if chance.random() < 0.25:
                for _ in range(3):
                    entries.change_at_random(chance)

        entries.before = change
        try:
            assert ids_of(read(client, record, window, folder)) in entries.snapshots, seed
        except ReadNotProven:
            return False
        finally:
            client.close()
    return True


def main(seeds: int) -> None:
    """All of them, both ways."""
    for name, window in (("time_entries", OCTOBER), ("clients", None)):
        with TemporaryDirectory() as folder:
            proven = sum(is_proven(RECORDS[name], window, n, Path(folder)) for n in range(seeds))
        kind = "page number" if window else "cursor"
        print(f"{seeds} accounts by {kind}: {proven} read, each exactly; {seeds - proven} refused")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
