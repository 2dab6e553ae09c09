"""The client of one Harvest account.

Belongs here: what holds for every request to the account (its address, its header), what is asked
once and kept, and work on several requests at a time.
Does not belong here: how a request is made (calls.py), how a list is read to its end (reading.py).
"""

import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import msgspec

from harvest_pipeline.harvest.account import AccountFinder, Identity
from harvest_pipeline.harvest.auth import Credentials
from harvest_pipeline.harvest.calls import Caller, Decoder
from harvest_pipeline.harvest.errors import (
    TRY_LATER,
    AccountNotFound,
    HarvestUnavailable,
    PermissionMissing,
    RecordNotFound,
)
from harvest_pipeline.harvest.limits import Left, Limiter, Limits
from harvest_pipeline.harvest.patience import Patience
from harvest_pipeline.harvest.progress import observer
from harvest_pipeline.harvest.transport import LARGEST_ANSWER, Answer, Interrupted, Transport
from harvest_pipeline.text import shown

T = TypeVar("T")

#: Requests at a time: at 0.5 seconds an answer that is 8 a second, above the limit of 6.7.
_IN_FLIGHT = 4
#: For so long, in seconds, what Harvest is answering already is waited for when others have failed:
#: it would have to be asked again.
_LAST_ANSWERS = 1.0
_company_decoder = msgspec.json.Decoder(dict[str, object])


class HarvestClient:
    """Asks one Harvest account. Nothing is sent before the first question.

    Without `account_id` and `instance` the token's only account is taken. `contact` is an e-mail
    address or URL for Harvest (REFERENCE 1). `state_folder` holds the file through which all
    processes of this machine share the request limit. `log` gets a line for every longer wait, from
    any thread. One read at a time.

    Raises AccountNotFound for an id that cannot be one, and StateUnusable.
    """

    def __init__(
        self,
        *,
        api_url: str,
        id_url: str,
        credentials: Credentials,
        account_id: str | None,
        instance: str | None,
        contact: str,
        state_folder: Path,
        log: Callable[[str], None],
        patience: Patience | None = None,
        limits: Limits | None = None,
    ) -> None:
        if account_id is not None and not (account_id.isascii() and account_id.isdigit()):
            raise AccountNotFound(
                f"HARVEST_ACCOUNT_ID is {shown(account_id)}; an account id is a number. Set "
                "HARVEST_INSTANCE instead, if that is the name of the account."
            )
        self.api_url = api_url.rstrip("/")
        self.patience = patience or Patience()
        self.log = log
        self._given_account = account_id
        self._instance = instance
        self._transport = Transport(user_agent(contact), self.patience)
        self._limiter = Limiter(state_folder, limits or Limits(), self.patience)
        self._caller = Caller(self._transport, credentials, self._limiter, log)
        self.finder = AccountFinder(self._caller, self.api_url, id_url.rstrip("/"))
        self._workers = ThreadPoolExecutor(_IN_FLIGHT, thread_name_prefix="harvest")

    @property
    def requests(self) -> int:
        """HTTP requests made so far, to all hosts, failed ones included."""
        return self._transport.requests

    @property
    def left(self) -> Left:
        """What our own count leaves of the account's request limits."""
        account, _ = self._account
        return self._caller.left(self.api_url, account)

    @cached_property
    def _account(self) -> tuple[str, str | None]:
        """Id and, where it had to be asked for, name."""
        if self._given_account is not None:
            return self._given_account, None
        account = self.finder.find(self._instance)
        return str(account.id), account.name

    @cached_property
    def identity(self) -> Identity:
        """The account and the owner of the token in it.

        Raises AccountNotFound, AccountAmbiguous, and what `get` raises.
        """
        return self.finder.identify(*self._account)

    @cached_property
    def _company(self) -> dict[str, object]:
        company, _ = self.get(f"{self.api_url}/company", _company_decoder)
        return company

    def is_off(self, module: str) -> bool:
        """Whether the `/company` flag `module` is false; not so if it cannot be asked."""
        try:
            return self._company.get(module) is False
        except (PermissionMissing, RecordNotFound):
            return False

    def get(
        self,
        url: str,
        decoder: Decoder[T],
        params: Mapping[str, str] | None = None,
        permission: str = "an administrator",
        largest: int = LARGEST_ANSWER,
    ) -> tuple[T, Answer]:
        """GET an address of the API for the account; see `Caller.get`."""
        account, _ = self._account
        return self._caller.get(
            url, decoder, account=account, params=params, permission=permission, largest=largest
        )

    def in_flight(self, task: Callable[[T], object], items: Iterable[T]) -> None:
        """Do `task`, which takes at least a request, for every item, a few at a time.

        The first failure stops all others and is raised, once nothing is running any more.
        """
        futures = [self._workers.submit(task, item) for item in items]
        observer().expecting(len(futures))
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            try:
                wait(futures, timeout=_LAST_ANSWERS)
            finally:
                self._transport.interrupt()
                wait(futures)
                self._transport.resume()
            raise

    @contextmanager
    def within(self, seconds: float) -> Generator[None]:
        """End whatever the block asks or waits for after so many seconds, but for a token that is
        being renewed. Raises HarvestUnavailable then."""
        timer = threading.Timer(seconds, self._transport.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Interrupted:
            raise HarvestUnavailable(
                f"Harvest was not read within {seconds:g} seconds. {TRY_LATER}"
            ) from None
        finally:
            timer.cancel()
            self._transport.resume()

    def pause(self, seconds: float) -> None:
        """Sleep, unless another task of the same `in_flight` fails meanwhile."""
        self._transport.pause(seconds)

    def close(self) -> None:
        """Close all connections and files."""
        self._workers.shutdown(cancel_futures=True)
        self._transport.close()
        self._limiter.close()


def user_agent(contact: str) -> str:
    """How this program calls itself in every request (REFERENCE 1)."""
    try:
        version = metadata.version("harvest_pipeline")
    except metadata.PackageNotFoundError:  # run from the sources
        version = "dev"
    return f"harvest_pipeline/{version} ({contact})"
