"""One HTTP exchange: a request out, a whole answer back, or the reason why not.

Belongs here: sessions, TLS, proxies, time-outs, the deadline, the cap on an answer's size.
Does not belong here: what a status means, retries, tokens (calls.py, auth.py).
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from io import BytesIO
from math import ceil
from time import monotonic
from urllib.parse import urlsplit

from requests import PreparedRequest, RequestException, Response, Session, Timeout
from requests.auth import AuthBase
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectTimeout,
    ContentDecodingError,
    SSLError,
)
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import NewConnectionError, ReadTimeoutError

from harvest_pipeline.harvest.deadline import Watchdog, WatchedAdapter
from harvest_pipeline.harvest.errors import AnswerInvalid, HostNotTrusted
from harvest_pipeline.harvest.patience import Patience

#: What is no list is a few kB; a larger answer than this, in bytes, is not Harvest's.
LARGEST_ANSWER = 2**20
_CHUNK_BYTES = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; `body` is decompressed, `seconds` is the duration of the exchange."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def date(self) -> datetime:
        """Harvest's clock when it answered: the `Date` header, else the local clock."""
        try:
            date = parsedate_to_datetime(self.headers["Date"])
        except (KeyError, ValueError):
            return datetime.now(UTC)
        return date if date.tzinfo else date.replace(tzinfo=UTC)

    @property
    def asked_at(self) -> datetime:
        """An instant of Harvest's clock before it began to answer."""
        return self.date - timedelta(seconds=ceil(self.seconds))


class TransferFailed(Exception):
    """There is no whole answer; the text says why. The request may have been acted upon."""


class NeverSent(TransferFailed):
    """There was no connection, so Harvest has not seen the request."""


class Truncated(TransferFailed):
    """The answer broke off in the middle, or cannot be unpacked."""


class Interrupted(Exception):
    """Another thread has asked to stop (`Transport.interrupt`)."""


class NoAuthorization(AuthBase):
    """Sends no Authorization header; without it `requests` would take one from ~/.netrc."""

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        return r


class Transport:
    """Exchanges with Harvest's hosts; any number of threads, each with a session of its own."""

    def __init__(self, user_agent: str, patience: Patience) -> None:
        self._user_agent = user_agent
        self.patience = patience
        self._of_thread = threading.local()
        self._lock = threading.Lock()
        self._sessions: list[tuple[Session, Watchdog]] = []
        self._requests = 0
        self._interrupted = threading.Event()
        self._shielded = set[Watchdog]()

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
        interruptible: bool = True,
    ) -> Answer:
        """Send one request and take the whole answer, whatever its status. Never redirects.

        `largest` is how many bytes an answer may have, decompressed.
        It ends within the deadline, looking the host's name up aside: that is up to the system.
        One that is not `interruptible` is not left for `interrupt` once it has begun.

        Raises TransferFailed (or a subclass), HostNotTrusted, AnswerInvalid for an answer that is
        too large, and Interrupted.
        """
        session, watchdog = self._session()
        # A proxy sees nothing of https, but everything of http (which is loopback only).
        session.trust_env = url.startswith("https:")
        started = monotonic()
        try:
            with watchdog.watching(self.patience.deadline):
                with self._lock:  # under which `interrupt` looks at what is shielded
                    if self._interrupted.is_set():
                        raise Interrupted
                    if not interruptible:
                        self._shielded.add(watchdog)
                    self._requests += 1
                response = session.request(
                    method,
                    url,
                    params=params,
                    data=data,
                    headers=headers,
                    auth=auth,
                    timeout=(self.patience.connect, self.patience.read),
                    allow_redirects=False,
                    stream=True,
                )
                with response:
                    body = _body(response, largest)
        except RequestException as error:
            raise self._failure(error, urlsplit(url).netloc, watchdog) from error
        except OSError as error:  # of `requests` before it connects
            raise HostNotTrusted(
                "The file of certificates that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names cannot "
                "be read, so nothing was sent; correct the path, or remove the variable."
            ) from error
        finally:
            self._shielded.discard(watchdog)
        if watchdog.expired:  # a body without a length simply ends where it is cut
            raise TransferFailed(self._too_late)
        return Answer(response.status_code, response.headers, body, monotonic() - started)

    def pause(self, seconds: float) -> None:
        """Sleep; raises Interrupted when that happens meanwhile."""
        if self._interrupted.wait(seconds):
            raise Interrupted

    def interrupt(self) -> None:
        """Make all threads that are in an exchange or a pause leave it, until `resume`."""
        self._interrupted.set()
        with self._lock:
            for _, watchdog in self._sessions:
                if watchdog not in self._shielded:
                    watchdog.interrupt()

    def resume(self) -> None:
        """Allow exchanges again."""
        self._interrupted.clear()

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for session, watchdog in self._sessions:
                session.close()
                watchdog.close()
            self._sessions.clear()
        self._of_thread = threading.local()

    def _session(self) -> tuple[Session, Watchdog]:
        mine: tuple[Session, Watchdog] | None = getattr(self._of_thread, "mine", None)
        if mine is None:
            session = Session()
            session.mount("https://", WatchedAdapter(pool_maxsize=1))
            session.mount("http://", WatchedAdapter(pool_maxsize=1))
            session.headers = CaseInsensitiveDict(
                {
                    "User-Agent": self._user_agent,
                    "Accept": "application/json",
                    "Accept-Encoding": "gzip",
                }
            )
            mine = self._of_thread.mine = session, Watchdog()
            with self._lock:
                self._sessions.append(mine)
        return mine

    def _failure(self, error: RequestException, host: str, watchdog: Watchdog) -> Exception:
        if self._interrupted.is_set():
            return Interrupted()
        if watchdog.expired:
            return TransferFailed(self._too_late)
        if isinstance(error, SSLError) and "CERTIFICATE" in str(error):
            return HostNotTrusted(
                f"The certificate of {host} does not verify, so no token was sent to it. If a "
                "proxy of your company stands in between, name the file with its certificate in "
                "REQUESTS_CA_BUNDLE."
            )
        cause = error.args[0] if error.args else None
        if isinstance(error, ConnectTimeout) or isinstance(
            getattr(cause, "reason", None), NewConnectionError
        ):
            return NeverSent("there is no connection to the host")
        if isinstance(error, Timeout) or isinstance(cause, ReadTimeoutError):
            return TransferFailed(f"nothing came for {self.patience.read:g} seconds")
        if isinstance(error, ChunkedEncodingError | ContentDecodingError):
            return Truncated("the answer broke off")
        return TransferFailed("the connection broke")

    @property
    def _too_late(self) -> str:
        return f"the answer was not whole within {self.patience.deadline:g} seconds"


def _body(response: Response, largest: int) -> bytes:
    body = BytesIO()
    for chunk in response.iter_content(_CHUNK_BYTES):
        body.write(chunk)
        if body.tell() > largest:
            raise AnswerInvalid(
                f"The answer to {urlsplit(response.url).path} is larger than "
                f"{largest // 2**20} MiB, which no answer of Harvest's to this request is."
            )
    return body.getvalue()  # without a copy, which `bytes` of a bytearray would be
