"""People with their rates and roles, and clients with their contacts."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

from harvest_pipeline.sandbox.billing import exact
from harvest_pipeline.sandbox.generator import names
from harvest_pipeline.sandbox.generator.plan import Customer, Person, Span, ids, instant
from harvest_pipeline.sandbox.model import Client, ClientName, Contact, Rate, Role, User
from harvest_pipeline.sandbox.permissions import claims
from harvest_pipeline.sandbox.records import Records, Table

#: People at scale 1.
PEOPLE = 12
_HOURS = (40, 40, 40, 35, 32, 24, 20)


def add_people(records: Records, span: Span, scale: float, random: Random) -> list[Person]:
    """Add users and roles. The first three are an administrator, a manager and a member."""
    keys = ids(4_810_000, random)
    hired = _hired(max(6, round(PEOPLE * scale)), span, random)
    people = [_person(records, number, day, span, keys, random) for number, day in enumerate(hired)]
    records.teammates[people[1].user.id] = {person.user.id for person in people[2:5]}
    for name, key in zip(names.ROLES, ids(1_100_900, random), strict=False):
        holders = [person.user.id for person in people if name in person.user.roles]
        records.roles.add(Role(key, name, span.opening, span.opening, holders))
    return people


def add_rates(records: Records, span: Span, people: Sequence[Person], random: Random) -> None:
    """Add the rates of each person: what an hour costs, and what it is billed at, which a year ago
    was less for every second person."""
    billable, cost = list[tuple[int, Rate]](), list[tuple[int, Rate]]()
    raised = span.today - timedelta(days=365)
    for number, person in enumerate(people):
        user, bill = person.user, list[tuple[date, Decimal]]()
        if user.default_hourly_rate is not None:
            bill.append((date.min, user.default_hourly_rate))
            if number % 2 == 0 and raised > person.hired:
                bill = [(date.min, exact(user.default_hourly_rate - 5)), (raised, bill[0][1])]
        billable += [(user.id, rate) for rate in _rates(bill, user)]
        cost += [(user.id, rate) for rate in _rates(person.cost_rates, user)]
    for tables, rates, start in (
        (records.billable_rates, billable, 4_200_000),
        (records.cost_rates, cost, 2_900_000),
    ):
        keys = ids(start, random)
        tables.update({person.user.id: Table[Rate]() for person in people})
        for user_id, rate in sorted(rates, key=lambda pair: pair[1].created_at):
            rate.id = next(keys)
            tables[user_id].add(rate)


def _rates(amounts: Sequence[tuple[date, Decimal]], user: User) -> Iterator[Rate]:
    """The amounts with the day that each is valid from, as rates: each ends before the next."""
    for number, (start, amount) in enumerate(amounts):
        later = [day for day, _ in amounts[number + 1 : number + 2]]
        made = user.created_at if start == date.min else max(user.created_at, instant(start, 480))
        yield Rate(
            0,
            amount,
            None if start == date.min else start,
            later[0] - timedelta(days=1) if later else None,
            made,
            made,
        )


def _hired(count: int, span: Span, random: Random) -> list[date]:
    """The days on which people joined, in order: most at the beginning, the others later."""
    founders = max(4, round(count * 0.7))
    later = [random.randrange(span.days * 3 // 4) for _ in range(count - founders)]
    return [span.first + timedelta(days=n) for n in [0] * founders + sorted(later)]


def _person(
    records: Records, number: int, hired: date, span: Span, keys: Iterator[int], random: Random
) -> Person:
    round_, position = divmod(number, len(names.FIRST_NAMES))
    first = names.FIRST_NAMES[position]
    last = names.LAST_NAMES[(position + 5 * round_) % len(names.LAST_NAMES)]
    zone_name, iana = names.TIME_ZONES[0 if number < 2 else random.randrange(len(names.TIME_ZONES))]
    # every seventh person has left, none of the three whose tokens are known
    left = span.first + timedelta(days=span.days * 4 // 5) if number % 7 == 3 else None
    contractor = number % 6 == 5
    rate = exact(random.randrange(80, 150, 5))
    costs = [] if contractor else _cost_rates(rate, span, random)
    joined = instant(hired, 7 * 60 + number % 60)
    access = {0: "administrator", 1: "manager"}.get(number, "member")
    domain = records.company.full_domain.split(".")[0]
    address = f"{first}.{last}{number if round_ else ''}"
    outlook = number % 5 == 1
    user = User(
        id=next(keys),
        first_name=first,
        last_name=last,
        email=f"{_ascii(address)}@{domain}.example",
        telephone="" if number % 3 else f"+49 40 555 {1000 + number}",
        timezone=zone_name,
        weekly_capacity=3600 * (40 if number < 3 else random.choice(_HOURS)),
        has_access_to_all_future_projects=number < 2,
        is_contractor=contractor,
        is_active=left is None,
        calendar_integration_enabled=outlook,
        calendar_integration_source="outlook" if outlook else None,
        created_at=joined,
        updated_at=span.until_now(joined if left is None else instant(left, 15 * 60)),
        can_create_projects=number < 2,
        default_hourly_rate=None if number % 9 == 8 else rate,
        cost_rate=costs[-1][1] if costs else None,
        roles=[names.ROLES[2 if number == 1 else number % len(names.ROLES)]],
        access_roles=[access],
        permissions_claims=claims([access]),
        avatar_url=f"https://cache.harvestapp.com/assets/avatars/sample_avatar_{number % 8}.png",
    )
    records.users.add(user)
    return Person(user, ZoneInfo(iana), hired, left, costs, _vacations(span, random))


def _ascii(name: str) -> str:
    """The name as an e-mail address writes it: ASCII letters, digits and dots."""
    plain = name.lower().encode("ascii", "ignore").decode()
    return "".join(letter for letter in plain if letter.isalnum() or letter == ".")


def _cost_rates(rate: Decimal, span: Span, random: Random) -> list[tuple[date, Decimal]]:
    """A cost rate from the beginning, raised at every turn of the year."""
    cost = exact(int(rate * random.randint(45, 60) / 100))
    rates = [(date.min, cost)]
    for year in range(span.first.year + 1, span.today.year + 1):
        cost = exact(cost + random.choice((1, 2, 3)))
        rates.append((date(year, 1, 1), cost))
    return rates


def _vacations(span: Span, random: Random) -> set[date]:
    """A week or two, about three times a year; today everybody works."""
    absent: set[date] = set()
    for _ in range(round(span.days / 365 * 3)):
        start = span.first + timedelta(days=random.randrange(span.days))
        absent.update(start + timedelta(days=n) for n in range(random.choice((5, 7, 12))))
    return absent - {span.today}


def add_clients(records: Records, span: Span, scale: float, random: Random) -> list[Customer]:
    """Add clients and contacts; the house itself comes first. Every fifth client is inactive."""
    keys, contact_keys = ids(13_700_100, random), ids(10_300_200, random)
    count = max(3, round(len(names.CLIENTS) * scale))
    starts = sorted(
        span.first + timedelta(days=random.randrange(span.days // 3)) for _ in range(count)
    )
    house = _client(next(keys), records.company.name, names.HOME_CURRENCY, span.first, random)
    customers = [Customer(house, None, exact(1), span.first, span.today)]
    for number, first in enumerate(starts):
        round_, position = divmod(number, len(names.CLIENTS))
        name, code, currency, multiple = names.CLIENTS[position]
        if round_:
            name, code = f"{name} {round_ + 1}", f"{code}{round_ + 1}"
        client = _client(next(keys), name, currency, first, random)
        client.is_active = number % 5 != 3
        last = span.today if client.is_active else first + timedelta(days=span.days // 2)
        customers.append(Customer(client, code, multiple, first, last))
    for customer in customers:
        records.clients.add(customer.client)
        for _ in range(random.randint(1, 3)):
            records.contacts.add(_contact(records, customer.client, next(contact_keys), random))
    return customers


def _client(key: int, name: str, currency: str, first: date, random: Random) -> Client:
    address = f"{random.choice(names.STREETS)}\r\n{random.choice(names.CITIES)}"
    made = instant(first, 8 * 60 + 10)
    return Client(
        id=key,
        name=name,
        is_active=True,
        address=address if random.random() < 0.85 else None,
        statement_key=f"{random.getrandbits(128):032x}",
        created_at=made,
        updated_at=made,
        currency=currency,
    )


def _contact(records: Records, client: Client, key: int, random: Random) -> Contact:
    made = client.created_at + timedelta(minutes=3)
    return Contact(
        id=key,
        title=random.choice(names.TITLES),
        first_name=random.choice(names.FIRST_NAMES),
        last_name=random.choice(names.LAST_NAMES),
        email=f"contact{key}@client-{client.id}.example",
        phone_office=f"+1 802 555 {random.randrange(1000, 9999)}",
        phone_mobile="",
        fax="",
        created_at=made,
        updated_at=made,
        client=records.copy(ClientName, client),
    )
