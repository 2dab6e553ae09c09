"""From which columns each column of a model is computed."""

from functools import cache

from harvest_pipeline.catalogue.records import RECORDS
from harvest_pipeline.models import models
from harvest_pipeline.warehouse import exchange_rates, ledger, tables

#: A table or model, and a column of it.
Origin = tuple[str, str]


@cache
def origins(name: str) -> dict[str, tuple[Origin, ...]]:
    """For each column of a model, the columns of the tables and models that it reads whose values
    its values are computed from; those of conditions and joins are not among them.

    Raises KeyError for an unknown model.
    """
    # Loading it takes a tenth of a second, which whoever loads the definitions need not wait for.
    from sqlglot import exp
    from sqlglot.lineage import lineage  # pyright: ignore[reportUnknownVariableType]

    model = models()[name]
    schema = {other: dict.fromkeys(_columns(other), "TEXT") for other in model.reads}
    nodes = lineage(None, model.sql, schema, dialect="duckdb")
    assert isinstance(nodes, dict)
    found: dict[str, tuple[Origin, ...]] = {}
    for column, node in nodes.items():
        leaves = {
            (leaf.source.name, leaf.name.rpartition(".")[2])
            for leaf in node.walk()
            if not leaf.downstream and isinstance(leaf.source, exp.Table)
        }
        found[column] = tuple(sorted(leaves))
    return found


def _columns(name: str) -> list[str]:
    if name in models():
        return [*models()[name].columns]
    if name in RECORDS:
        table = tables.table_of(RECORDS[name])
    else:
        table = {each.name: each for each in (ledger.LEDGER, exchange_rates.TABLE)}[name]
    return [column.name for column in table.columns]
