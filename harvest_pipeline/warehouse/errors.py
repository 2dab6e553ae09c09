"""The exceptions of the warehouse: one for each thing that a person can fix, with one sentence."""

from collections.abc import Iterable
from typing import ClassVar

from harvest_pipeline.scope import Reader


class WarehouseError(Exception):
    """The warehouse cannot be used, or rejects the data.

    `retryable`: whether the same thing may succeed later without anyone's help.
    """

    retryable: ClassVar[bool] = False


class WarehouseLocked(WarehouseError):
    """Another program held the file for longer than the wait."""

    retryable = True


class NotLoaded(WarehouseError):
    """The requested table has never been loaded."""


class FieldRetyped(WarehouseError):
    """A field has values that its declared column cannot hold, in too many of the records to set
    these aside."""


class RecordsUnreadable(WarehouseError):
    """The records are not JSON that can be read unambiguously."""


class AnotherAccount(WarehouseError):
    """The schema contains the records of another Harvest account."""


class SeesLess(WarehouseError):
    """The person behind the token sees less than the one who loaded the existing rows."""

    @classmethod
    def of(cls, reader: Reader, others: Iterable[str], what: str) -> "SeesLess":
        """For a `reader` who sees less than `others`, so that `what` was not done."""
        return cls(
            f"The token is that of {reader}, who may not see everything that {' and '.join(others)}"
            f" has loaded: {what}. What may be read was loaded. Use an administrator's token again "
            "(HARVEST_ACCESS_TOKEN, or `harvest-pipeline connect`)."
        )


class LoadNotCommitted(WarehouseError):
    """The database reported a load as committed, but it was not."""

    retryable = True
