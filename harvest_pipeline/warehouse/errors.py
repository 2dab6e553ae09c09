"""One exception per thing that a person can do something about.

Belongs here: the exceptions of this package, whose text is one sentence for a person.
Does not belong here: deciding which one an error of DuckDB deserves (database.py, contract.py).
"""

from typing import ClassVar


class WarehouseError(Exception):
    """The warehouse cannot be used, or does not take what arrived.

    `retryable`: whether the same thing may succeed later without anybody doing anything.
    """

    retryable: ClassVar[bool] = False


class WarehouseLocked(WarehouseError):
    """Another program held the file for longer than we wait."""

    retryable = True


class NotLoaded(WarehouseError):
    """A table is asked for that has never been loaded."""


class FieldRetyped(WarehouseError):
    """A field came with values that its declared column cannot hold, in too many of the records for
    these to be set aside."""


class RecordsUnreadable(WarehouseError):
    """The records that came are no JSON that can be read in one way only."""


class AnotherAccount(WarehouseError):
    """The schema holds the records of another Harvest account."""


class LoadNotCommitted(WarehouseError):
    """The database said that a load was committed, and it was not."""

    retryable = True
