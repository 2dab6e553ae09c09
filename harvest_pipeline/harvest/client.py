"""The client of one Harvest account: single responses, whole lists, parallel requests."""

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from harvest_pipeline.catalogue.columns import Paging
from harvest_pipeline.harvest import pages
from harvest_pipeline.harvest.account import AccountFinder, Identity
from harvest_pipeline.harvest.auth import Credentials
from harvest_pipeline.harvest.calls import Caller, Decoder
from harvest_pipeline.harvest.errors import (
    TRY_LATER,
    AccountNotFound,
    AnswerInvalid,
    PermissionMissing,
    RecordNotFound,
)
from harvest_pipeline.harvest.http import (
    IN_FLIGHT,
    LARGEST_ANSWER,
    Answer,
    Patience,
    Transport,
)
from harvest_pipeline.harvest.limits import Left, Limiter, Limits
from harvest_pipeline.harvest.pages import LARGEST_PAGE, Page, Pass, followed
from harvest_pipeline.harvest.progress import observer
from harvest_pipeline.state import SharedState

T = TypeVar("T")

#: 20 million records; a list with more pages has no end.
_MOST_PAGES = 10_000
_thread = threading.local()
_company_decoder = msgspec.json.Decoder(dict[str, object])


class HarvestClient:
    """Reads one Harvest account. Nothing is sent before the first call.

    Without `account_id` and `instance`, the token's only account is used. `contact` is an e-mail
    address or URL for Harvest. `state_folder` holds the file through which all processes of this
    machine share the request limit, unless `state` is the database through which all machines do.
    `log` gets a line for every longer wait, from any thread.

    Raises AccountNotFound for an invalid id, and StateUnusable.
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
        state: SharedState | None = None,
    ) -> None:
        if account_id is not None and not (account_id.isascii() and account_id.isdigit()):
            raise AccountNotFound(
                "HARVEST_ACCOUNT_ID is not a number, as each account id is. Set HARVEST_INSTANCE "
                "instead, if that is the name of the account."
            )
        self.api_url = api_url.rstrip("/")
        self.patience = patience or Patience()
        self.log = log
        self._given_account = account_id
        self._instance = instance
        self._transport = Transport(user_agent(contact), self.patience, log)
        self._limiter = Limiter(state_folder, limits, state)
        self._caller = Caller(self._transport, credentials, self._limiter)
        self.finder = AccountFinder(self._caller, self.api_url, id_url.rstrip("/"))

    @property
    def requests(self) -> int:
        """HTTP requests made so far, to all hosts, including failed ones."""
        return self._transport.requests

    @property
    def left(self) -> Left:
        """What is left of the account's request limits, by our own count."""
        account, _ = self._account
        return self._caller.left(self.api_url, account)

    @cached_property
    def _account(self) -> tuple[str, str | None]:
        """The account id and, if it had to be looked up, the name."""
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
        """Whether the `/company` flag `module` is false; False if the company cannot be read."""
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
        """GET an API address for the account; see `Caller.get`."""
        account, _ = self._account
        return self._caller.get(
            url, decoder, account=account, params=params, permission=permission, largest=largest
        )

    def pages(
        self,
        url: str,
        decoder: Decoder[Page[T]],
        params: Mapping[str, str],
        keep: Callable[[Page[T]], object],
        *,
        paging: Paging,
        permission: str,
    ) -> Pass:
        """Read a list once: `keep` gets each page as it arrives, from any thread.

        Numbered pages are read a few at a time. Raises AnswerInvalid for a list that cannot be
        read to its end, and what `get` raises.
        """

        def page_at(url: str, more: Mapping[str, str] | None) -> tuple[Page[T], Answer]:
            page, answer = self.get(url, decoder, more, permission, largest=LARGEST_PAGE)
            observer().received(len(page))
            return page, answer

        path = urlsplit(url).path
        params = {**params, "per_page": pages.PER_PAGE}
        numbered = paging is Paging.PAGE
        page, answer = page_at(url, {**params, "page": "1"} if numbered else params)
        seen = Pass(answer.asked_at, page.total_entries)
        keep(page)
        if numbered:
            if page.total_entries is None or page.total_pages is None:
                raise AnswerInvalid(f"{path} came without the number of its records.")
            if page.total_pages > _MOST_PAGES:
                raise AnswerInvalid(f"{path} is said to have {page.total_pages} pages. {TRY_LATER}")

            def read_page(number: int) -> None:
                page, _ = page_at(url, {**params, "page": str(number)})
                seen.check_total(page)
                seen.check_unchanged(page)
                keep(page)

            self.in_flight(read_page, range(2, page.total_pages + 1))
        links: set[str] = set()
        while not numbered and page.next is not None:
            if page.next in links or not len(page) or len(links) == _MOST_PAGES:
                raise AnswerInvalid(
                    f"The pages of {path} lead in a circle or to no end. {TRY_LATER}"
                )
            links.add(page.next)
            page, _ = page_at(followed(page.next, url), None)
            seen.check_total(page)
            keep(page)
        return seen

    def in_flight(self, task: Callable[[T], object], items: Iterable[T]) -> None:
        """Do `task`, which makes at least one request, for every item, a few at a time.

        The first failure is raised once no task is running any more: requests in flight are
        completed, no others are sent. Within a task, the items of another call run in sequence.
        """
        if getattr(_thread, "has_task", False):
            for item in items:
                task(item)
            return

        def begin() -> None:
            _thread.has_task = True

        with ThreadPoolExecutor(IN_FLIGHT, "harvest", begin) as executor:
            try:
                futures = [executor.submit(task, item) for item in items]
                observer().expecting(len(futures))
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                with self._transport.stopped():
                    executor.shutdown(cancel_futures=True)
                raise

    def pause(self, seconds: float) -> None:
        """Sleep; see `Transport.pause`."""
        self._transport.pause(seconds)

    def close(self) -> None:
        """Close all connections and files."""
        self._transport.close()
        self._limiter.close()


def user_agent(contact: str) -> str:
    """The User-Agent of every request, in the form that Harvest asks for."""
    try:
        version = metadata.version("harvest_pipeline")
    except metadata.PackageNotFoundError:  # run from a source checkout
        version = "dev"
    return f"harvest_pipeline/{version} ({contact})"
