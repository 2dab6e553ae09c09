"""The exceptions of the warehouse: one for each thing that a person can fix, with one sentence.

Docstrings are sections of docs/troubleshooting.md: what the error means, and what to do.
"""

from collections.abc import Iterable
from typing import ClassVar

from harvest_pipeline.scope import Reader


class WarehouseError(Exception):
    """The warehouse cannot be used, or rejects the data.

    The message says what to do; nothing that was there is lost. Restoring a damaged database is in
    docs/publishing.md.
    """

    #: Whether the same thing may succeed later without anyone's help.
    retryable: ClassVar[bool] = False


class WarehouseLocked(WarehouseError):
    """Another program held the file for longer than the wait.

    Close the program that the message names, or its connection: DuckDB lets one program write, and
    nobody else read meanwhile. For programs that read all day, publish a copy (docs/publishing.md).
    """

    retryable = True


class WarehouseAway(WarehouseError):
    """The server of the warehouse does not answer: Postgres with the catalogue of a DuckLake, S3
    with its Parquet files, or MotherDuck.

    Nothing is half there. Run again when the server is back; loads wait for it, as they do for a
    program that holds a file, and are tried again.
    """

    retryable = True


class WarehouseConflict(WarehouseError):
    """Another program changed the same tables of a DuckLake at the same time.

    Nothing of this run's last step was stored. It is tried again; if it stays so, look for the
    program that writes into the tables of the account.
    """

    retryable = True


class TurnLost(WarehouseError):
    """The database through which machines take turns with an account (`HARVEST_STATE`) does not
    answer, or was started again while another machine was waiting.

    Look whether it runs. Nothing of what was being loaded is there, and what was loaded before is.
    """

    retryable = True


class NotLoaded(WarehouseError):
    """The requested table has never been loaded.

    Run the command that the message names, or materialize the asset.
    """


class FieldRetyped(WarehouseError):
    """A field has values that its declared column cannot hold, in too many of the records to set
    these aside.

    Harvest has changed: look for a newer version of this project. Nothing was loaded.
    """


class RecordsUnreadable(WarehouseError):
    """The records are not JSON that can be read unambiguously.

    Harvest sends no such thing: look at `HARVEST_API_URL`, and for a proxy in between.
    """


class AnotherAccount(WarehouseError):
    """The schema contains the records of another Harvest account.

    Give each account a name of its own in `harvest.yaml`, or another database (`HARVEST_DUCKDB`).
    """


class SeesLess(WarehouseError):
    """The person behind the token sees less than the one who loaded the existing rows.

    Use an administrator's token again. What may be read was loaded, and no row has left.
    """

    @classmethod
    def of(cls, reader: Reader, others: Iterable[str], what: str) -> "SeesLess":
        """For a `reader` who sees less than `others`, so that `what` was not done."""
        return cls(
            f"The token is that of {reader}, who may not see everything that {' and '.join(others)}"
            f" has loaded: {what}. What may be read was loaded. Use an administrator's token again "
            "(HARVEST_ACCESS_TOKEN, or `harvest-pipeline connect`)."
        )


class LoadNotCommitted(WarehouseError):
    """The database reported a load as committed, but it was not.

    Run again. If it stays so, the disk or its file system is damaged.
    """

    retryable = True
