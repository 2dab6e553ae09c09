"""One exception per thing that a person can do something about; its text is one sentence."""

from collections.abc import Iterable
from typing import ClassVar

from harvest_pipeline.scope import Reader


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


class SeesLess(WarehouseError):
    """The person behind the token sees less than the one who loaded what is there."""

    @classmethod
    def of(cls, reader: Reader, others: Iterable[str], what: str) -> "SeesLess":
        """The error for `reader`, who sees less than `others`; `what` stays undone for it."""
        return cls(
            f"The token is that of {reader}, who may not see everything that {' and '.join(others)}"
            f" has loaded: {what}. What may be read was loaded. Use an administrator's token again "
            "(HARVEST_ACCESS_TOKEN, or `harvest-pipeline connect`)."
        )


class LoadNotCommitted(WarehouseError):
    """The database said that a load was committed, and it was not."""

    retryable = True
