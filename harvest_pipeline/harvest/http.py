"""One HTTP exchange with Harvest: a request, and the whole response or the reason for failure."""

import random
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from io import BytesIO
from math import ceil, inf
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest, RequestException, Response, Session, Timeout
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.exceptions import ConnectTimeout, ProxyError, SSLError
from requests.structures import CaseInsensitiveDict
from urllib3 import exceptions

from harvest_pipeline.harvest.errors import (
    TRY_LATER,
    AnswerInvalid,
    HarvestUnavailable,
    HostNotTrusted,
    HostUnreachable,
)
from harvest_pipeline.harvest.progress import observer
from harvest_pipeline.safety.hosts import trusted

#: Responses other than lists are a few kB; one of more bytes than this is not Harvest's.
LARGEST_ANSWER = 2**20
#: Parallel requests: at 0.5 seconds per response that is 8 a second, above the limit of 6.7.
IN_FLIGHT = 4
_CHUNK_BYTES = 64 * 2**10
#: Longer waits than this are logged.
_QUIET_SECONDS = 3.0
#: Seconds after which it is logged that a host has not answered yet.
_FIRST_WORD_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Time-outs and pauses; in seconds, except `attempts`.

    `deadline` limits one exchange, `total` all that a client does. Pauses between the `attempts`
    double from `first_pause` up to `longest_pause`. `reread_pause` comes before a list is read
    again; it is longer than the second that Harvest's clock resolves. `throttle_cap` limits how
    long one request waits because of 429. A host that has never answered is not tried again once
    `contact` has passed.
    """

    connect: float = 5.0
    read: float = 30.0
    deadline: float = 60.0
    total: float = inf
    attempts: int = 5
    first_pause: float = 1.0
    longest_pause: float = 30.0
    reread_pause: float = 2.5
    throttle_cap: float = 20 * 60.0
    contact: float = inf

    def pause_after(self, failures: int) -> float:
        """The pause after that many failures (from 1), half to one and a half times its mean.

        The jitter keeps requests that failed together from being retried together.
        """
        mean = min(self.longest_pause, self.first_pause * 2 ** (failures - 1))
        return mean * random.uniform(0.5, 1.5)  # noqa: S311 - no cryptography


#: For a person at a terminal: a host that does not answer is given up within a minute, of which the
#: last attempt may take 35 seconds.
AT_TERMINAL = Patience(contact=25.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response; `body` is decompressed, `seconds` is the duration of the exchange."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def date(self) -> datetime:
        """Harvest's clock at the response: the `Date` header, else the local clock."""
        return _date(self.headers.get("Date", "")) or datetime.now(UTC)

    @property
    def asked_at(self) -> datetime:
        """An instant on Harvest's clock before it began to respond."""
        return self.date - timedelta(seconds=ceil(self.seconds))

    @property
    def retry_after(self) -> float | None:
        """The `Retry-After` header in seconds, None if it is missing or invalid."""
        text = self.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        if (until := _date(text)) is None:
            return None
        seconds = (until - self.date).total_seconds()  # by Harvest's clock: ours may be wrong
        return seconds if seconds >= 0 else None


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


class TransferFailed(Exception):
    """There is no complete response; the text says why. The request may have been processed."""


class NeverSent(TransferFailed):
    """There was no connection, so Harvest never got the request."""


class Truncated(TransferFailed):
    """The response was cut off, or cannot be decompressed."""


class Interrupted(Exception):
    """Another thread has failed, so no more requests are sent (`Transport.stopped`)."""


class NoAuthorization(AuthBase):
    """Sends no Authorization header; without it `requests` would take one from ~/.netrc."""

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        return r


class _Adapter(HTTPAdapter):
    """Connects to Harvest's hosts and this machine only, whatever made the address."""

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        try:
            trusted(request.url or "")
        except ValueError as error:
            raise HostNotTrusted(f"A request was not sent. Of its address: {error}.") from None
        return super().send(request, *args, **kwargs)


class Transport:
    """Sends requests to Harvest's hosts, over connections that all threads share. `log` gets a line
    for every longer wait, from any thread."""

    def __init__(self, user_agent: str, patience: Patience, log: Callable[[str], object]) -> None:
        self.patience = patience
        self._user_agent = user_agent
        self._log = log
        self._said_until = 0.0
        self._tried_since: dict[str, float] = {}  # by host, as the next two
        self._answered: set[str] = set()
        self._given_up: dict[str, str] = {}  # with the sentence of the error
        self._end = monotonic() + patience.total
        self._adapter = _Adapter(pool_maxsize=IN_FLIGHT)
        self._lock = threading.Lock()
        self._requests = 0
        self._stopped = threading.Event()

    @property
    def requests(self) -> int:
        """Exchanges begun so far."""
        return self._requests

    def exchange(
        self,
        method: str,
        url: str,
        *,
        auth: AuthBase,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        largest: int = LARGEST_ANSWER,
    ) -> Answer:
        """Send one request and read the whole response, whatever its status. Never redirects.

        `largest` is the maximum size of a response in bytes, decompressed. The deadline is checked
        whenever a part of the body arrives; headers that trickle in endlessly are not detected.

        Raises TransferFailed (or a subclass), HostNotTrusted, AnswerInvalid for a response that is
        too large, HarvestUnavailable when the client's total time is up, HostUnreachable for a host
        that was given up (`give_up`), and Interrupted.
        """
        self.pause(0)  # raises if no more requests may be sent
        host = urlsplit(url).netloc
        if host in self._given_up:
            raise HostUnreachable(self._given_up[host])
        with self._lock:
            self._requests += 1
        started = monotonic()
        self._tried_since.setdefault(host, started)
        silence = max(min(self.patience.read, self._end - started), 0.001)
        body = BytesIO()
        try:
            with (
                self._told_of_silence(host),
                self._session(url).request(
                    method,
                    url,
                    params=params,
                    data=data,
                    headers=headers,
                    auth=auth,
                    timeout=(min(self.patience.connect, silence), silence),
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                self._answered.add(host)
                # `iter_content` would wait until a chunk is full, however slowly the data arrives.
                while part := response.raw.read1(_CHUNK_BYTES, decode_content=True):
                    body.write(part)
                    if body.tell() > largest:
                        raise AnswerInvalid(
                            f"The answer to {urlsplit(url).path} is larger than "
                            f"{largest // 2**20} MiB, which no answer of Harvest's to this request "
                            "is."
                        )
                    if monotonic() - started > self.patience.deadline:
                        raise TransferFailed(
                            f"the answer was not whole within {self.patience.deadline:g} seconds"
                        )
        except (RequestException, exceptions.HTTPError) as error:  # the latter from the body
            raise _failure(error, host, silence) from error
        except OSError as error:  # from `requests`, before it connects
            raise HostNotTrusted(
                "The file of certificates that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names cannot "
                "be read, so nothing was sent; correct the path, or remove the variable."
            ) from error
        seconds = monotonic() - started
        return Answer(response.status_code, response.headers, body.getvalue(), seconds)

    def give_up(
        self, error: TransferFailed, url: str, variable: str, failures: int, *, last: bool = False
    ) -> None:
        """Raise HarvestUnavailable if the host of `url` has never answered and is not tried again:
        after all attempts, if this was the `last` one, or after `patience.contact`. `variable` sets
        that host. With a `contact`, somebody waits: it is HostUnreachable, also for every later
        exchange."""
        host = urlsplit(url).netloc
        late = monotonic() - self._tried_since[host] >= self.patience.contact
        if host in self._answered or not (last or late or failures >= self.patience.attempts):
            return
        sentence = (
            f"The host of {variable} does not answer: {error} (attempts: {failures}). Check the "
            "network, and that variable."
        )
        if self.patience.contact == inf:
            raise HarvestUnavailable(sentence) from error
        self._given_up[host] = sentence
        raise HostUnreachable(sentence) from error

    @contextmanager
    def _told_of_silence(self, host: str) -> Generator[None]:
        """Log a line if a host that has never answered does not do so during the block: looking up
        its name can take as long as the system likes."""
        if host in self._answered:
            yield
            return

        def tell() -> None:
            if host not in self._answered:
                self._say(self.patience.read, f"{host} has not answered yet")

        timer = threading.Timer(_FIRST_WORD_SECONDS, tell)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def wait(self, seconds: float, reason: str, url: str = "") -> None:
        """`pause` for a reason, which is logged if it takes longer, or if the host of `url` has not
        answered yet. The reason is half a sentence."""
        if seconds > _QUIET_SECONDS or (url and urlsplit(url).netloc not in self._answered):
            self._say(seconds, reason)
        self.pause(seconds)

    def _say(self, seconds: float, reason: str) -> None:
        until = monotonic() + seconds
        with self._lock:  # many threads wait for the same thing: it is logged once
            if until <= self._said_until + _QUIET_SECONDS:
                return
            self._said_until = until
        self._log(f"Waiting {ceil(seconds)} seconds: {reason}.")
        observer().waiting(seconds, reason)

    def pause(self, seconds: float) -> None:
        """Sleep. Raises Interrupted, and HarvestUnavailable if the client has no time left."""
        left = self._end - monotonic()
        if self._stopped.wait(max(min(seconds, left), 0)):
            raise Interrupted
        if seconds >= left:
            raise HarvestUnavailable(
                f"Harvest was not read within {self.patience.total:g} seconds. {TRY_LATER}"
            )

    @contextmanager
    def stopped(self) -> Generator[None]:
        """While the block runs, new exchanges and pauses raise Interrupted."""
        self._stopped.set()
        try:
            yield
        finally:
            self._stopped.clear()

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()

    def _session(self, url: str) -> Session:
        """A session for one exchange, so that no cookie is sent; the adapter pools connections."""
        session = Session()
        session.mount("https://", self._adapter)
        session.mount("http://", self._adapter)
        # A proxy sees nothing of https, but everything of http (which is loopback only).
        session.trust_env = url.startswith("https:")
        session.headers = CaseInsensitiveDict(
            {
                "User-Agent": self._user_agent,
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
            }
        )
        return session


def _failure(error: Exception, host: str, silence: float) -> Exception:
    if isinstance(error, SSLError) and "CERTIFICATE" in str(error):
        return HostNotTrusted(
            f"The certificate of {host} does not verify, so no token was sent to it. If a proxy of "
            "your company stands in between, name the file with its certificate in "
            "REQUESTS_CA_BUNDLE."
        )
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(error, ProxyError):
        return NeverSent(f"the proxy of HTTPS_PROXY or ALL_PROXY makes no connection to {host}")
    if isinstance(error, ConnectTimeout) or isinstance(reason, exceptions.NewConnectionError):
        why = getattr(getattr(reason, "__cause__", None), "strerror", None) or "nothing came back"
        if isinstance(reason, exceptions.NameResolutionError):
            why = "its name is not known"
        return NeverSent(f"there is no connection to {host}, {why[0].lower()}{why[1:]}")
    if isinstance(error, Timeout | exceptions.ReadTimeoutError):
        return TransferFailed(f"nothing came from {host} for {silence:g} seconds")
    if isinstance(error, exceptions.ProtocolError | exceptions.DecodeError):
        return Truncated(f"the answer of {host} broke off")
    return TransferFailed(f"the connection to {host} broke")
