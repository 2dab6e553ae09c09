"""The tables and views of a record, created and altered to match the catalogue."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from harvest_pipeline.catalogue.columns import INSTANT, LIST, Column, Record
from harvest_pipeline.catalogue.records import records_inside
from harvest_pipeline.catalogue.reports import views_on
from harvest_pipeline.warehouse.sql import comma, identifier, literal

#: The columns of every record's table in addition to the record's own.
LOADED_AT = Column("_loaded_at", INSTANT, "When this row was loaded, in UTC.", ())
EXTRA = Column("_extra", LIST, "What Harvest sent that no column holds, as a JSON object.", ())
#: The additional columns of the table of its deleted rows.
NOTICED_AT = Column("_noticed_at", INSTANT, "When it was noticed to be deleted, in UTC.", ())


@dataclass(frozen=True, slots=True)
class Table:
    """A declared table. Only its key is NOT NULL, and nothing is indexed: a primary key doubles the
    size of the file and the time of a load."""

    name: str
    description: str
    key: str
    columns: tuple[Column, ...]


def table_of(record: Record) -> Table:
    """The table of a record."""
    return Table(record.name, record.description, record.key, (*record.columns, LOADED_AT, EXTRA))


def deleted_table(record: Record) -> Table:
    """The table `<record>_deleted`: rows that no longer exist at Harvest."""
    table = table_of(record)
    return Table(
        f"{record.name}_deleted",
        f"{record.title} that Harvest does not have any more, as they last were.",
        record.key,
        (*table.columns, NOTICED_AT),
    )


def exists(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Whether the schema has a table or view of that name, one of this package's own.

    Not for names that DuckDB itself has views for: use `kind` for those. The first query of a
    connection's catalogue takes 12 ms, because it creates all of these; binding a table takes 0.5.
    """
    if not name.isidentifier():  # DuckDB 1.5 takes quotes for a part of the name
        return kind(connection, name) is not None
    try:
        connection.table(name)
    except duckdb.CatalogException:  # the transaction continues, unlike after a failed statement
        return False
    return True


def kind(connection: duckdb.DuckDBPyConnection, name: str) -> str | None:
    """BASE TABLE, VIEW, or None if the schema has nothing of that name."""
    found = connection.execute(
        "SELECT table_type FROM information_schema.tables"
        " WHERE table_catalog = current_database()"
        " AND table_schema = current_schema() AND table_name = ?",
        [name],
    ).fetchall()
    return found[0][0] if found else None


def names(connection: duckdb.DuckDBPyConnection) -> dict[str, str | None]:
    """The tables of the schema, without views, each with its comment."""
    return dict(
        connection.execute(
            "SELECT table_name, comment FROM duckdb_tables()"
            " WHERE database_name = current_database() AND schema_name = current_schema()"
        ).fetchall()
    )


def prepare(connection: duckdb.DuckDBPyConnection, record: Record, *others: Table) -> set[str]:
    """Create or complete the tables of `record` and of the lists inside it, the views on them, the
    tables of their deleted rows, and others. Returns the names of all existing tables."""
    records = (record, *records_inside(record))
    wanted = (table for each in records for table in (table_of(each), deleted_table(each)))
    present = prepare_tables(connection, *wanted, *others)
    for each in records:
        if views_on(each):
            _replace_views(connection, each)
    return present


def prepare_tables(connection: duckdb.DuckDBPyConnection, *wanted: Table) -> set[str]:
    """Create each missing table, add missing columns, and set the comments.

    Returns the names of all existing tables. A catalogue query takes 2 to 20 ms, longer than many
    loads: there are two here, and callers that need the names afterwards get them from here.
    """
    described = names(connection)
    comments = column_comments(connection)
    for table in wanted:
        target = identifier(table.name)
        if table.name not in described:
            declared = comma(
                f"{identifier(column.name)} {column.type}"
                f"{' NOT NULL' if column.name == table.key else ''}"
                for column in table.columns
            )
            # The error names a view that is in its place.
            connection.execute(f"CREATE TABLE {target} ({declared})")
        if described.get(table.name) != table.description:
            connection.execute(f"COMMENT ON TABLE {target} IS {literal(table.description)}")
        present = comments[table.name]
        for column in table.columns:
            name = identifier(column.name)
            if table.name in described and column.name not in present:
                connection.execute(f"ALTER TABLE {target} ADD COLUMN {name} {column.type}")
            if present.get(column.name) != column.description:
                connection.execute(
                    f"COMMENT ON COLUMN {target}.{name} IS {literal(column.description)}"
                )
    return {*described, *(table.name for table in wanted)}


def column_types(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, str]:
    """The columns of a table, view or registered frame, with their types."""
    rows = connection.execute(f"DESCRIBE {identifier(name)}").fetchall()
    return {row[0]: row[1] for row in rows}


def column_comments(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str | None]]:
    """The columns of every table and view of the schema, with their comments."""
    found = defaultdict[str, dict[str, str | None]](dict)
    for table, column, comment in connection.execute(
        "SELECT table_name, column_name, comment FROM duckdb_columns()"
        " WHERE database_name = current_database() AND schema_name = current_schema()"
    ).fetchall():
        found[table][column] = comment
    return found


def comment_on_columns(
    connection: duckdb.DuckDBPyConnection, view: str, comments: Mapping[str, str]
) -> None:
    """Describe the columns of a view; in a lake they have no comments (DuckLake 1.0)."""
    kind = connection.execute(
        "SELECT type FROM duckdb_databases() WHERE database_name = current_database()"
    ).fetchall()
    for name, comment in comments.items() if kind != [("ducklake",)] else ():
        column = f"{identifier(view)}.{identifier(name)}"
        connection.execute(f"COMMENT ON COLUMN {column} IS {literal(comment)}")


def replace_view(
    connection: duckdb.DuckDBPyConnection, name: str, select: str, description: str
) -> None:
    """Create a view with a comment, or replace one that has another SELECT or comment.

    One that is the same stays: of two programs that replace a view of a lake at the same time, even
    by itself, one loses all that it has done.
    """
    view = identifier(name)
    # DuckDB writes down both in its own way.
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {view} AS {select}")
    found = connection.execute(
        "SELECT string_split(sql, ' AS ')[2:], comment FROM duckdb_views() WHERE view_name = ?"
        " AND (temporary OR (database_name = current_database() AND schema_name ="
        " current_schema())) ORDER BY temporary",
        [name],
    ).fetchall()
    connection.execute(f"DROP VIEW temp.{view}")
    if len(found) < 2 or found[0][0] != found[1][0]:
        connection.execute(f"CREATE OR REPLACE VIEW {view} AS {select}")
    elif found[0][1] == description:
        return
    connection.execute(f"COMMENT ON VIEW {view} IS {literal(description)}")


def _replace_views(connection: duckdb.DuckDBPyConnection, record: Record) -> None:
    """The views for reports that show this record under another name."""
    # Columns by name: a view with `*` breaks as soon as its table gets another column.
    names = [column.name for column in table_of(record).columns]
    columns = comma(map(identifier, names))
    # Whether they differ is told by one query, since the columns say it all.
    there = {
        name: (found, comment)
        for name, found, comment in connection.execute(
            "SELECT view_name, list(column_name ORDER BY column_index), any_value(v.comment)"
            " FROM duckdb_views() AS v JOIN duckdb_columns() AS c ON table_name = view_name"
            " AND c.database_name = v.database_name AND c.schema_name = v.schema_name"
            " WHERE v.database_name = current_database() AND v.schema_name = current_schema()"
            " GROUP BY view_name"
        ).fetchall()
    }
    for report in views_on(record):
        if there.get(report.name) == (names, report.description):
            continue
        select = f"SELECT {columns} FROM {identifier(record.name)}"
        replace_view(connection, report.name, select, report.description)
