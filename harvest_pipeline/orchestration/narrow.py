"""Assets and jobs that look at what is of their account only.

Dagster looks for the resources and the assets that are needed among those of all accounts: with 200
of them, 7,000 times among 202 resources, and 200 times among 12,600 assets.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import cache
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

#: What an op does, with its context and its inputs, of which none has a value here.
Compute = Callable[[Any, Mapping[str, object]], Iterator[Any]]


class Narrow(dg.AssetsDefinition):
    """Assets or checks that take their resources at once: `dg.AssetsDefinition` asks every resource
    that there is what it needs, and then makes itself anew."""

    def with_resources(self, resource_defs: Mapping[str, dg.ResourceDefinition]) -> "Narrow":
        """The same with those of these resources that they need."""
        made = copy(self)
        needed = self.required_resource_keys & resource_defs.keys()
        made._resource_defs = {key: resource_defs[key] for key in needed}
        return made


def assets_of(
    op: str,
    compute: Compute,
    specs: Sequence[dg.AssetSpec],
    checks: Iterable[dg.AssetCheckSpec],
    *,
    io_manager_key: str,
    can_subset: bool = False,
    **of_op: Any,
) -> dg.AssetsDefinition:
    """The assets and checks that one op makes, as `dg.asset` and `dg.multi_asset` put them
    together in four times the time. All are backfilled in a single run.

    `of_op` are other arguments of the op. Without `can_subset` there is one asset.
    """
    keys = {spec.key.path[-1] if can_subset else "result": spec.key for spec in specs}
    checks_by_output = {f"{each.asset_key.path[-1]}_{each.name}": each for each in checks}
    upstream = {
        dep.asset_key.to_python_identifier(): dep.asset_key
        for spec in specs
        for dep in spec.deps
        if dep.asset_key not in keys.values()
    }
    stored = _SharedOut(io_manager_key=io_manager_key, is_required=not can_subset)
    said = _SharedOut(is_required=not can_subset)
    return Narrow(
        node_def=dg.OpDefinition(
            compute,
            op,
            ins=dict.fromkeys(upstream, _WAITS),
            outs={**dict.fromkeys(keys, stored), **dict.fromkeys(checks_by_output, said)},
            **of_op,
        ),
        keys_by_input_name=upstream,
        keys_by_output_name=keys,
        specs=specs,
        check_specs_by_output_name=checks_by_output,
        can_subset=can_subset,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )


class _SharedOut(dg.Out):
    """An output of many ops, whose definition is made once."""

    def to_definition(self, *of: Any, **named: Any) -> Any:
        """The definition for these arguments; Dagster asks for it with every op."""
        return _definition(self, *of, **named)


@cache
def _definition(out: _SharedOut, *of: Any, **named: Any) -> Any:
    return dg.Out.to_definition(out, *of, **named)


_WAITS = dg.In(dg.Nothing)


def narrow(checks: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """These checks, made by a decorator."""
    return Narrow(**checks.get_attributes_dict())


class AccountJob(UnresolvedAssetJobDefinition):
    """A job over assets of one account, which are few of many."""

    def resolve(
        self,
        asset_graph: AssetGraph,
        default_executor_def: dg.ExecutorDefinition | None = None,
        resource_defs: Mapping[str, dg.ResourceDefinition] | None = None,
    ) -> dg.JobDefinition:
        """The job, with the resources that its assets have, and no other in its launchpad."""
        keys = self.selection.resolve(asset_graph)  # pyright: ignore[reportUnknownMemberType]
        touched = {
            each
            for key in keys
            for node in [asset_graph.get(key)]
            for each in (key, *node.parent_keys, *node.check_keys)
        }
        assets = asset_graph.assets_defs_for_keys(touched)
        needed = {key for each in assets for key in each.required_resource_keys}
        return super().resolve(
            AssetGraph.from_assets(assets),
            default_executor_def,
            {key: each for key, each in (resource_defs or {}).items() if key in needed},
        )
