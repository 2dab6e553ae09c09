"""Writes the dashboard of an account beside its database."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from harvest_pipeline.dashboard.figures import PARTS, Compared, Figures, figures
from harvest_pipeline.safety.files import disk_full, replaced
from harvest_pipeline.settings import Account
from harvest_pipeline.warehouse import comparisons, tables
from harvest_pipeline.warehouse.database import Warehouse
from harvest_pipeline.warehouse.errors import WarehouseError
from harvest_pipeline.warehouse.models import create
from harvest_pipeline.warehouse.place import place_of


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard that was written: its file, what it says of the comparison with Harvest, and the
    figures."""

    path: Path
    compared: Compared
    figures: Figures

    def images(self) -> dict[str, str]:
        """The charts by the question that they answer, as SVG."""
        from harvest_pipeline.dashboard.charts import CHARTS, svg

        return {
            chart.title: svg(chart, self.figures)
            for chart in CHARTS
            if chart.part in self.figures.parts
        }


def parts_of(account: Account) -> list[str]:
    """The parts of the dashboard whose models the account has."""
    there = {model.name for model in account.models}
    return [name for name, part in PARTS.items() if there.issuperset(part.models)]


def path_of(account: Account) -> Path:
    """The file of the account's dashboard."""
    return place_of(account.project).folder / f"{account.name}-dashboard.html"


def write(account: Account, warehouse: Warehouse) -> Dashboard:
    """Create the models that the dashboard shows, and replace its file. Raises WarehouseError."""
    # Altair takes half a second to import, and Dagster imports this module everywhere.
    from harvest_pipeline.dashboard.page import page

    parts, zone = parts_of(account), account.project.timezone
    with warehouse.transaction() as connection:
        create(connection, {name for part in parts for name in PARTS[part].models}, zone)
    with warehouse.reader() as connection:
        found = figures(connection, parts)
        name = _company(connection) or account.name
        as_of = _as_of(connection, zone)
        compared = _compared(comparisons.latest(connection), zone)
    path, text = path_of(account), page(name, as_of, compared, found)
    try:
        with replaced([path]) as (new,):
            new.write_text(text, "utf-8")
    except OSError as error:
        why = disk_full(error, path.parent) or f"{error.strerror}; make its folder writable."
        raise WarehouseError(
            f"The dashboard {path} could not be written, and is the one that it was. {why}"
        ) from error
    return Dashboard(path, compared, found)


def _company(connection: duckdb.DuckDBPyConnection) -> str | None:
    if not tables.exists(connection, "company"):
        return None
    rows = connection.execute("SELECT name FROM company").fetchall()
    return rows[0][0] if rows else None


def _as_of(connection: duckdb.DuckDBPyConnection, zone: str) -> str:
    (oldest,) = connection.execute(
        "SELECT min(as_of) FROM freshness"
        " WHERE record IN ('time_entries', 'expenses', 'invoices', 'projects', 'users')"
    ).fetchall()[0]
    return f"As of {_local(oldest, zone)}." if oldest else "Nothing was loaded yet."


def _compared(last: comparisons.Comparison | None, zone: str) -> Compared:
    if last is None:
        return Compared("none", "Not yet compared with Harvest's own reports: the next night does.")
    when = f"{last.first_day} to {last.last_day}, compared {_local(last.compared_at, zone)}"
    if last.verdict == "equal":
        return Compared("equal", f"Equal to Harvest's own reports: {when}.")
    if last.verdict == "different":
        figures = "figure differs" if last.differences == 1 else "figures differ"
        text = f"{last.differences} {figures} from Harvest's own reports: {when}."
        return Compared("different", text)
    return Compared("not-proven", f"Not all could be compared with Harvest's own reports: {when}.")


def _local(instant: datetime, zone: str) -> str:
    return f"{instant.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"
