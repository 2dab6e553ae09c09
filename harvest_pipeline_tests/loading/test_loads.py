"""Pieces: a window is cut so that a run that dies asks little again, and no day is lost."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from harvest_pipeline.loading.window import pieces
from harvest_pipeline.scope import Window

FIRST = date(2026, 1, 1)
DAYS = st.lists(st.integers(0, 40), max_size=60)


@given(days=DAYS, length=st.integers(41, 60), size=st.integers(1, 10))
def test_pieces_tile_the_window_and_hold_every_parent_of_their_days(
    days: list[int], length: int, size: int
) -> None:
    window = Window(FIRST, FIRST + timedelta(days=length - 1))
    parents = [{"id": n, "issue_date": FIRST + timedelta(days=day)} for n, day in enumerate(days)]
    cut = list(pieces(parents, "issue_date", window, size))

    assert [day for piece, _ in cut for day in piece.days()] == list(window.days())
    for piece, rows in cut:
        expected = [row for row in parents if piece.first <= row["issue_date"] <= piece.last]
        assert sorted(row["id"] for row in rows) == [row["id"] for row in expected]


@given(days=DAYS, size=st.integers(1, 10))
def test_without_its_last_day_a_piece_has_fewer_parents_than_its_size(
    days: list[int], size: int
) -> None:
    window = Window(FIRST, FIRST + timedelta(days=60))
    parents = [{"id": n, "issue_date": FIRST + timedelta(days=day)} for n, day in enumerate(days)]
    for _, rows in pieces(parents, "issue_date", window, size):
        of_day = [row["issue_date"] for row in rows]
        assert len([day for day in of_day if day < max(of_day)]) < size
