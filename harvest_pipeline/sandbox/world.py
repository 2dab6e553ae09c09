"""The state of one sandbox server: accounts, tokens, limits, clock, and the log of its requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from threading import RLock

from starlette.requests import Request

from harvest_pipeline.sandbox.answers import bad_request, not_found, unauthorized
from harvest_pipeline.sandbox.clock import HARVEST_LIMITS, Clock, RateLimits, Throttle
from harvest_pipeline.sandbox.generator import first_day, generate
from harvest_pipeline.sandbox.oauth import Grant, Tokens
from harvest_pipeline.sandbox.permissions import Viewer
from harvest_pipeline.sandbox.records import Records

_FIRST_ACCOUNT = 1_308_220
#: A Forecast account has the id of its Harvest account and this.
_FORECAST = 500
#: The people whose tokens are known are the first ones of an account.
_KNOWN = ("administrator", "manager", "member")


@dataclass(frozen=True)
class Options:
    """What can be chosen about a sandbox.

    `years` is the length of its history, up to `today` (None: now); `scale` multiplies people,
    clients and projects; `accounts` is the number of Harvest accounts. `rate_limit=None` lifts the
    limits. `rotate_refresh_tokens` gives out a new refresh token each time and revokes all when an
    old one is used. `cursor_totals=False` sends the totals of cursor lists as null, which Harvest's
    documentation allows. `refuse_get_bodies` answers GET requests with a body as Harvest does, with
    400; by default they are taken, so that old clients that send `null` can be tried unchanged.
    """

    seed: int = 1
    today: date | None = None
    years: float = 2.2
    scale: float = 1.0
    accounts: int = 1
    rate_limit: RateLimits | None = HARVEST_LIMITS
    rotate_refresh_tokens: bool = False
    cursor_totals: bool = True
    refuse_get_bodies: bool = False


class Account:
    """One account. `people` are the ids of those whose tokens are known.

    `lock` is held while records are read for an answer, so that another thread may change them.
    """

    def __init__(self, id: int, records: Records) -> None:
        self.id = id
        self.records = records
        self.lock = RLock()
        known = zip(_KNOWN, records.users.ascending(), strict=False)
        self.people: dict[str, int] = {person: user.id for person, user in known}

    @property
    def name(self) -> str:
        """The account's name."""
        return self.records.company.name

    @property
    def instance(self) -> str:
        """The `fernhill` of `fernhill.harvestapp.com`."""
        return self.records.company.full_domain.split(".")[0]

    def viewer(self, person: str) -> Viewer:
        """The account as the administrator, manager or member sees it; raises KeyError."""
        user = self.records.users.get(self.people[person])
        assert user is not None
        return Viewer(self.records, user)


@dataclass(frozen=True)
class Caller:
    """The caller: the account, and what that person sees of it."""

    account: Account
    viewer: Viewer


@dataclass(frozen=True)
class LoggedRequest:
    """One request. `path` is as requested; `query` has no access tokens; `seconds` is its duration.

    `status` is 0 if the connection was cut instead of answered.
    """

    method: str
    path: str
    query: str
    status: int
    time: datetime
    seconds: float
    user_agent: str


class RequestLog:
    """The requests in the order in which they were answered."""

    def __init__(self) -> None:
        self.requests: list[LoggedRequest] = []

    def clear(self) -> None:
        """Forget all requests."""
        self.requests.clear()

    def paths(self) -> list[str]:
        """Only the paths."""
        return [request.path for request in self.requests]


class World:
    """The state of one sandbox server. Making it generates the accounts."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.clock = Clock.at(options.today)
        self.request_log = RequestLog()
        now = self.clock.now()
        self.first_day = first_day(now, options.years)
        self.accounts: dict[int, Account] = {}
        for number in range(options.accounts):
            records = generate(options.seed, now, options.years, options.scale, number)
            key = _FIRST_ACCOUNT + 691 * number
            self.accounts[key] = Account(key, records)
        reach = frozenset(self.accounts)
        self.tokens = Tokens(self.clock, reach, options.rotate_refresh_tokens)
        limits = options.rate_limit
        self._general = {key: Throttle(limits.general) for key in reach} if limits else {}
        self._reports = {key: Throttle(limits.reports) for key in reach} if limits else {}

    @property
    def account(self) -> Account:
        """The first account."""
        return next(iter(self.accounts.values()))

    def grant(self, request: Request) -> Grant:
        """What the request's token stands for. Raises ApiError 400 or 401."""
        if not request.headers.get("user-agent"):
            raise bad_request(
                "The User-Agent header is missing: name your application and a contact."
            )
        return self.tokens.grant(token_of(request))

    def caller(self, request: Request) -> Caller:
        """The caller and the account of a request. Raises ApiError 400, 401 or 404."""
        grant = self.grant(request)
        account_id = request.headers.get("harvest-account-id") or _query(request, "account_id")
        if not account_id:
            raise unauthorized()
        key = int(account_id) if account_id.isascii() and account_id.isdigit() else 0
        if key not in grant.accounts or key not in self.accounts:
            raise not_found()
        account = self.accounts[key]
        return Caller(account, account.viewer(grant.person))

    def throttle(self, account: Account, report: bool) -> int:
        """Count a request; the seconds to wait, 0 if it may be answered.

        Harvest counts by account, and `/reports` apart from everything else.
        """
        throttle = (self._reports if report else self._general).get(account.id)
        return 0 if throttle is None else throttle.wait(self.clock.precise())

    def reachable(self, grant: Grant) -> list[Mapping[str, int | str]]:
        """The accounts of a token, including a Forecast account, which clients must ignore."""
        found: list[Mapping[str, int | str]] = [
            {"id": account.id, "name": account.name, "product": "harvest"}
            for account in self.accounts.values()
            if account.id in grant.accounts
        ]
        first = self.account
        if grant.scope in ("all", "harvest:all"):
            forecast = {"id": first.id + _FORECAST, "name": first.name, "product": "forecast"}
            found.append(forecast)
        return found


def token_of(request: Request) -> str:
    """The token of a request, from the header or the query; empty if there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return _query(request, "access_token")


def _query(request: Request, name: str) -> str:
    return request.query_params.get(name, "")
