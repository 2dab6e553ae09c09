"""The people of the account: roles, capacities, rates, who joined and who left.

Belongs here: users and business roles. Does not belong here: their projects (assignments.py).
"""

from datetime import date, timedelta
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

from harvest_pipeline.sandbox.generator import names
from harvest_pipeline.sandbox.generator.plan import Ids, Person, Span, instant
from harvest_pipeline.sandbox.model import Role, User
from harvest_pipeline.sandbox.numbers import exact
from harvest_pipeline.sandbox.permissions import claims
from harvest_pipeline.sandbox.records import Records

#: People at scale 1.
PEOPLE = 12
_HOURS = (40, 40, 40, 35, 32, 24, 20)


def add_people(records: Records, span: Span, scale: float, random: Random) -> list[Person]:
    """Add users and roles. The first three are an administrator, a manager and a member."""
    ids = Ids(4_810_000, random)
    count = max(6, round(PEOPLE * scale))
    hired = _hired(count, span, random)
    people = [_person(records, number, day, span, ids, random) for number, day in enumerate(hired)]
    manager = people[1].user.id
    records.teammates[manager] = {person.user.id for person in people[2:5]}
    _add_roles(records, people, span, random)
    return people


def _hired(count: int, span: Span, random: Random) -> list[date]:
    """The days on which people joined, in order: most at the beginning, the others later."""
    days = (span.today - span.first).days
    founders = max(4, round(count * 0.7))
    later = [random.randrange(days * 3 // 4) for _ in range(count - founders)]
    return [span.first + timedelta(days=n) for n in [0] * founders + sorted(later)]


def _person(
    records: Records, number: int, hired: date, span: Span, ids: Ids, random: Random
) -> Person:
    first, last = _name(number)
    zone_name, iana = names.TIME_ZONES[0 if number < 2 else random.randrange(len(names.TIME_ZONES))]
    days = (span.today - span.first).days
    # every seventh person has left, none of the three whose tokens are known
    left = span.first + timedelta(days=days * 4 // 5) if number % 7 == 3 else None
    contractor = number % 6 == 5
    rate = exact(random.randrange(80, 150, 5))
    costs = [] if contractor else _cost_rates(rate, span, random)
    joined = instant(hired, 7 * 60 + number % 60)
    changed = joined if left is None else instant(left, 15 * 60)
    access = {0: "administrator", 1: "manager"}.get(number, "member")
    domain = records.company.full_domain.split(".")[0]
    address = f"{first}.{last}{number if number >= len(names.FIRST_NAMES) else ''}"
    user = User(
        id=ids.next(),
        first_name=first,
        last_name=last,
        email=f"{_plain(address)}@{domain}.example",
        telephone="" if number % 3 else f"+49 40 555 {1000 + number}",
        timezone=zone_name,
        weekly_capacity=3600 * (40 if number < 3 else random.choice(_HOURS)),
        has_access_to_all_future_projects=number < 2,
        is_contractor=contractor,
        is_active=left is None,
        calendar_integration_enabled=number % 5 == 1,
        calendar_integration_source="outlook" if number % 5 == 1 else None,
        created_at=joined,
        updated_at=span.until_now(changed),
        can_create_projects=number < 2,
        default_hourly_rate=None if number % 9 == 8 else rate,
        cost_rate=costs[-1][1] if costs else None,
        roles=[names.ROLES[2 if number == 1 else number % len(names.ROLES)]],
        access_roles=[access],
        permissions_claims=claims([access]),
        avatar_url=f"https://cache.harvestapp.com/assets/avatars/sample_avatar_{number % 8}.png",
    )
    records.users.add(user)
    absent = _absent(span, random)
    return Person(user, ZoneInfo(iana), hired, left, costs, absent)


def _name(number: int) -> tuple[str, str]:
    firsts, lasts = names.FIRST_NAMES, names.LAST_NAMES
    round_, position = divmod(number, len(firsts))
    return firsts[position], lasts[(position + 5 * round_) % len(lasts)]


def _plain(name: str) -> str:
    """The name as an e-mail address writes it: ASCII letters, digits and dots."""
    ascii_only = name.lower().encode("ascii", "ignore").decode()
    return "".join(letter for letter in ascii_only if letter.isalnum() or letter == ".")


def _cost_rates(rate: Decimal, span: Span, random: Random) -> list[tuple[date, Decimal]]:
    """A cost rate from the beginning, raised at every turn of the year."""
    cost = exact(int(rate * random.randint(45, 60) / 100))
    rates = [(date.min, cost)]
    for year in range(span.first.year + 1, span.today.year + 1):
        cost = exact(cost + random.choice((1, 2, 3)))
        rates.append((date(year, 1, 1), cost))
    return rates


def _absent(span: Span, random: Random) -> set[date]:
    """Vacations: a week or two, about three times a year."""
    days = (span.today - span.first).days
    absent: set[date] = set()
    for _ in range(round(days / 365 * 3)):
        start = span.first + timedelta(days=random.randrange(days))
        absent.update(start + timedelta(days=n) for n in range(random.choice((5, 7, 12))))
    return absent - {span.today}


def _add_roles(records: Records, people: list[Person], span: Span, random: Random) -> None:
    ids = Ids(1_100_900, random)
    made = instant(span.first, 6 * 60)
    for name in names.ROLES:
        holders = [person.user.id for person in people if name in person.user.roles]
        records.roles.add(Role(ids.next(), name, made, made, holders))
