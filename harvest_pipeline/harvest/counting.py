"""How many records Harvest has, without reading them.

Belongs here: that one request. Does not belong here: what follows from the number.
"""

import msgspec

from harvest_pipeline.catalogue.columns import Record
from harvest_pipeline.harvest.client import HarvestClient
from harvest_pipeline.harvest.reading import question
from harvest_pipeline.scope import Scope


class _Totals(msgspec.Struct):
    total_entries: int | None = None


_decoder = msgspec.json.Decoder(_Totals)


def count(client: HarvestClient, record: Record, scope: Scope) -> int | None:
    """Harvest's `total_entries` of a scope of at most one project and person; one request.

    None where the answer carries none: the documentation allows that on cursor lists (REFERENCE 4).
    Raises what `HarvestClient.get` raises.
    """
    path, params = question(record, scope)
    answer, _ = client.get(
        f"{client.api_url}{path}",
        _decoder,
        {**params, "per_page": "1"},
        permission=record.permission,
    )
    return answer.total_entries
