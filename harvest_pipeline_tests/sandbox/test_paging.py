"""Pages and links."""

import base64
import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from harvest_pipeline_tests.sandbox.conftest import TODAY
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.sandbox.visitor import Visitor, records_of

#: The lists by page number are sorted by day, the others by creation; newest first.
ORDERS = {"/time_entries": "spent_date", "/expenses": "spent_date", "/invoices": "issue_date"}
BY_CURSOR = (
    "/clients", "/contacts", "/invoice_item_categories", "/expense_categories", "/tasks",
    "/user_assignments", "/task_assignments", "/projects", "/roles", "/users",
)  # fmt: skip


def ids(page) -> list[int]:
    return [record["id"] for record in records_of(page)]


@pytest.mark.parametrize("path", [*ORDERS, *BY_CURSOR])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_the_pages_hold_every_record_once_in_the_order_of_the_list(
    path: str, size: int, administrator: Visitor
) -> None:
    recent = {"from_": "2026-11-16"} if ORDERS.get(path) == "spent_date" else {}
    whole = administrator.read(path, per_page=2000, **recent)
    pages = administrator.pages(path, per_page=size, **recent)
    assert [key for page in pages for key in ids(page)] == ids(whole)
    assert len(pages) == pages[0]["total_pages"] == max(1, -(-len(ids(whole)) // size))
    assert all(page["total_entries"] == len(ids(whole)) for page in pages)
    by = "created_at" if path in BY_CURSOR else ORDERS[path]
    keys = [(record[by], record["id"]) for record in records_of(whole)]
    assert keys == sorted(keys, reverse=True)
    beyond = administrator.read(path, page=9999)
    assert (ids(beyond), beyond["next_page"], beyond["links"]["next"]) == ([], None, None)


def test_numbered_links_repeat_every_parameter_by_name(
    sandbox: SandboxServer, administrator: Visitor
) -> None:
    page = administrator.read(
        "/time_entries", to="2026-11-20", from_="20261101", per_page=5, page=2
    )
    front = f"{sandbox.api_url}/time_entries?from=20261101&page="
    last = page["total_pages"]
    assert page["links"] == {
        "first": f"{front}1&per_page=5&to=2026-11-20",
        "next": f"{front}3&per_page=5&to=2026-11-20",
        "previous": f"{front}1&per_page=5&to=2026-11-20",
        "last": f"{front}{last}&per_page=5&to=2026-11-20",
    }
    assert (page["page"], page["next_page"], page["previous_page"]) == (2, 3, 1)


def test_cursor_pages_say_what_the_documentation_shows(
    sandbox: SandboxServer, administrator: Visitor
) -> None:
    pages = administrator.pages("/projects", per_page=10, is_active=False)
    front = f"{sandbox.api_url}/projects?"
    first, middle, last = pages[0], pages[1], pages[-1]
    count = len(pages)
    assert count > 2 or len(ids(first)) == 10
    assert (first["page"], first["next_page"], first["previous_page"]) == (1, 2, None)
    assert first["links"]["previous"] is None
    assert first["links"]["first"] == f"{front}is_active=false&page=1&per_page=10&ref=first"
    assert first["links"]["last"] == f"{front}is_active=false&page={count}&per_page=10&ref=last"
    query = dict(parse_qsl(urlsplit(first["links"]["next"]).query))
    assert list(query) == ["cursor", "is_active", "per_page", "ref"]
    assert query["ref"] == "next_cursor"
    assert decoded(query["cursor"]) == {"after": {"id": ids(first)[-1]}}
    if count > 2:
        assert (middle["page"], middle["next_page"], middle["previous_page"]) == (None, None, None)
        back = dict(parse_qsl(urlsplit(middle["links"]["previous"]).query))
        assert back["ref"] == "previous_cursor"
        assert decoded(back["cursor"]) == {"before": {"id": ids(middle)[0]}}
    assert (last["page"], last["next_page"], last["previous_page"]) == (count, None, count - 1)
    assert last["links"]["next"] is None
    assert last["links"]["previous"] == (
        f"{front}is_active=false&page={count - 1}&per_page=10&ref=previous"
    )


def decoded(cursor: str):
    assert "=" not in cursor
    return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))


def test_links_and_numbers_lead_to_the_same_pages(administrator: Visitor) -> None:
    pages = administrator.pages("/task_assignments", per_page=25)
    assert len(pages) > 4
    second = administrator.read("/task_assignments", per_page=25, page=2)
    assert (ids(second), second["page"]) == (ids(pages[1]), 2)
    # the cursor wins over the number
    assert ids(administrator.read(f"{pages[0]['links']['next']}&page=4")) == ids(pages[1])
    page = pages[2]
    assert ids(administrator.read(page["links"]["previous"])) == ids(pages[1])
    assert ids(administrator.read(pages[-1]["links"]["previous"])) == ids(pages[-2])
    assert ids(administrator.read(page["links"]["first"])) == ids(pages[0])
    assert ids(administrator.read(page["links"]["last"])) == ids(pages[-1])


def test_an_empty_list_has_one_page(sandbox: SandboxServer, administrator: Visitor) -> None:
    for path in ("/time_entries", "/user_assignments"):
        page = administrator.read(path, user_id=1)
        assert records_of(page) == []
        assert (page["total_pages"], page["total_entries"], page["page"]) == (1, 0, 1)
        assert (page["next_page"], page["previous_page"]) == (None, None)
        assert page["links"]["first"].startswith(f"{sandbox.api_url}{path}?page=1&per_page=2000")
        assert page["links"]["last"].startswith(f"{sandbox.api_url}{path}?page=1&per_page=2000")
        assert page["links"]["next"] is None


def test_page_sizes_are_those_of_the_documentation(administrator: Visitor) -> None:
    assert administrator.read("/time_entries")["per_page"] == 2000
    assert administrator.read("/invoices")["per_page"] == 100
    assert administrator.read("/invoices", per_page=2000)["per_page"] == 2000
    for wrong in ("2001", "0", "-1", "ten"):
        assert administrator.get("/clients", per_page=wrong).status_code == 422
    for wrong in ("0", "-1", "one"):
        assert administrator.get("/time_entries", page=wrong).status_code == 422
    assert administrator.get("/clients", cursor="nonsense").status_code == 422


def test_totals_of_cursor_lists_can_be_null() -> None:
    with SandboxServer(today=TODAY, years=0.1, rate_limit=None, cursor_totals=False) as sandbox:
        visitor = Visitor(sandbox)
        pages = visitor.pages("/task_assignments", per_page=20)
        assert {page["total_entries"] for page in pages} == {None}
        assert {page["total_pages"] for page in pages} == {None}
        assert sum(len(ids(page)) for page in pages) == len(
            sandbox.account.records.task_assignments
        )
        assert visitor.read("/expenses")["total_entries"] is not None
