"""Clients, with their contacts.

Belongs here: who they are and from when to when they give work. Does not belong here: the work
(projects.py).
"""

from datetime import date, timedelta
from random import Random

from harvest_pipeline.sandbox.embedded import ClientName
from harvest_pipeline.sandbox.generator import names
from harvest_pipeline.sandbox.generator.plan import Customer, Ids, Span, instant
from harvest_pipeline.sandbox.model import Client, Contact
from harvest_pipeline.sandbox.numbers import exact
from harvest_pipeline.sandbox.records import Records


def add_clients(records: Records, span: Span, scale: float, random: Random) -> list[Customer]:
    """Add clients and contacts; the house itself comes first. Every fifth client has gone."""
    ids, contact_ids = Ids(13_700_100, random), Ids(10_300_200, random)
    count = max(3, round(len(names.CLIENTS) * scale))
    days = (span.today - span.first).days
    starts = sorted(span.first + timedelta(days=random.randrange(days // 3)) for _ in range(count))
    house = _client(ids.next(), records.company.name, names.HOME_CURRENCY, span.first, random)
    customers = [Customer(house, None, exact(1), span.first, span.today)]
    for number, first in enumerate(starts):
        round_, position = divmod(number, len(names.CLIENTS))
        name, code, currency, multiple = names.CLIENTS[position]
        if round_:
            name, code = f"{name} {round_ + 1}", f"{code}{round_ + 1}"
        client = _client(ids.next(), name, currency, first, random)
        last = span.today
        if number % 5 == 3:
            client.is_active = False
            last = first + timedelta(days=days // 2)
        customers.append(Customer(client, code, multiple, first, last))
    for customer in customers:
        records.clients.add(customer.client)
        for _ in range(random.randint(1, 3)):
            records.contacts.add(_contact(records, customer.client, contact_ids.next(), random))
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
