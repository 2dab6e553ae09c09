"""Creates the views of the models."""

import duckdb

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.models import Model, models
from harvest_pipeline.warehouse import tables
from harvest_pipeline.warehouse.sql import comma, identifier, literal


def create(connection: duckdb.DuckDBPyConnection, name: str) -> Model:
    """Create or replace the view of a model and of the models that it reads; returns the model.

    Tables of records that were never loaded are created without rows, so that a model exists
    whatever has been loaded. Raises KeyError for an unknown model, and duckdb.Error.
    """
    model = models()[name]
    for other in model.reads:
        if other in RECORDS:
            tables.prepare(connection, RECORDS[other])
        else:
            create(connection, other)
    view = identifier(name)
    columns = comma(map(identifier, model.columns))
    connection.execute(
        f"CREATE OR REPLACE VIEW {view} ({columns}) AS SELECT {columns} FROM ({model.sql})"
    )
    connection.execute(f"COMMENT ON VIEW {view} IS {literal(model.description)}")
    for column, description in model.columns.items():
        connection.execute(
            f"COMMENT ON COLUMN {view}.{identifier(column)} IS {literal(description)}"
        )
    return model
