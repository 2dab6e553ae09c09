"""The context of every Dagster step that reads Harvest: the account's lock, a folder for spools,
the client, and one sentence for an error that a person can fix."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import dagster as dg

from harvest_pipeline.harvest.errors import HarvestError
from harvest_pipeline.loading.window import Loads, spool_folder
from harvest_pipeline.orchestration.partitions import run_chain
from harvest_pipeline.orchestration.resources import HarvestResource
from harvest_pipeline.settings import Account
from harvest_pipeline.settings.datasets import Retry
from harvest_pipeline.settings.parameters import OptionsError
from harvest_pipeline.warehouse.database import warehouse_of
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.ledger import refuse_another_account

T = TypeVar("T")

#: The client has retried for minutes by then; Dagster tries twice more, a minute later.
_RETRIES = 2
_PAUSE_SECONDS = 60.0
#: A run that would wait longer than this fails instead, and says so.
_LONGEST_PAUSE_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a step is retried, and after at least how many seconds."""

    further: int
    pause_seconds: float

    @classmethod
    def of(cls, retry: Retry | None) -> "Retries":
        """The retries of a dataset, or the default."""
        if retry is None:
            return cls(_RETRIES, _PAUSE_SECONDS)
        return cls(retry.attempts - 1, retry.wait_minutes * 60)

    @property
    def policy(self) -> dg.RetryPolicy:
        """The same as Dagster's policy, for failures in Dagster or in the database."""
        return dg.RetryPolicy(max_retries=self.further, delay=self.pause_seconds)


@contextmanager
def reading(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    account: Account,
    retries: Retries,
    *,
    only_changed: bool,
) -> Generator[Loads]:
    """What a step reads with, while no other step of the account does; see `Loads` and `explained`.

    Raises Failure if the token is for another account than the loaded records.
    """
    harvest: HarvestResource = getattr(context.resources, account.name)
    warehouse = warehouse_of(account, context.log.info)
    with (
        explained(retries),
        warehouse.reserved(),
        spool_folder(account.project.state_folder) as folder,
    ):
        client = harvest.client(account)
        with warehouse.reader() as connection:
            refuse_another_account(connection, int(client.identity.account_id))
        runs = run_chain(context.run, context.instance)
        yield Loads(client, warehouse, runs, folder, context.log.info, only_changed=only_changed)


@contextmanager
def explained(retries: Retries) -> Generator[None]:
    """Turn errors of Harvest or the warehouse into a Dagster failure with their message.

    Raises RetryRequested for errors that may pass (an outage, a program that holds the database),
    and Failure without retries for those that do not (a wrong token, a folder as database).
    """
    try:
        yield
    except (HarvestError, OptionsError, WarehouseError) as error:
        failure = dg.Failure(str(error), allow_retries=False)
        wait = (error.retry_after if isinstance(error, HarvestError) else None) or 0
        passing = not isinstance(error, OptionsError) and error.retryable
        if passing and wait <= _LONGEST_PAUSE_SECONDS:
            # With the failure as its cause, Dagster shows the sentence when no retry is left.
            raise dg.RetryRequested(retries.further, max(wait, retries.pause_seconds)) from failure
        raise failure from None


def each_explained(items: Iterable[T], retries: Retries) -> Iterator[T]:
    """The items, with `explained` for exceptions raised while the next one is produced."""
    with explained(retries):
        yield from items
