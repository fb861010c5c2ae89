"""Reconciliation checks of the datasets: one number from two publishers.

They warn or fail and block nothing: a release uses the preferred source, and a person finds out which one is wrong.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import dagster as dg

from pipelines.datasets import FEEDS
from pipelines.ingestion import reconciliation
from pipelines.ingestion.reconciliation import Comparison
from pipelines.orchestration.assets.lake import lake_key
from pipelines.orchestration.resources import WorkspaceResource

if TYPE_CHECKING:
    from pipelines.workspace import Workspace

Compare = Callable[["Workspace"], Comparison]


def cross_checks() -> dg.AssetChecksDefinition:
    """All checks, made by one step. Sources of one dataset are compared by their responses: the lake keeps the
    preferred one only."""
    known: dict[dg.AssetCheckKey, tuple[dg.AssetCheckSpec, Compare]] = {
        spec.key: (spec, compare) for spec, compare in _checks()
    }

    @dg.multi_asset_check(name="reconcile", specs=[spec for spec, _ in known.values()], can_subset=True)
    def reconcile(
        context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource
    ) -> Iterator[dg.AssetCheckResult]:
        opened = workspace.open()
        for key, (_, compare) in known.items():
            if key in context.selected_asset_check_keys:
                yield _result(key, opened, compare)

    return reconcile


def _checks() -> Iterator[tuple[dg.AssetCheckSpec, Compare]]:
    yield (
        dg.AssetCheckSpec(
            "daily_prices_agree",
            asset=lake_key("benchmark_prices"),
            additional_deps=[lake_key("prices")],
            description="The monthly mean of the daily cash prices is within 1 % of the mean that others publish.",
        ),
        partial(_of_lake, ("prices", "benchmark_prices"), reconciliation.monthly_means),
    )
    yield (
        dg.AssetCheckSpec(
            "sofr_agrees_with_effr",
            asset=lake_key("rates"),
            description="The median difference of SOFR and EFFR is within 10 bp in each month that has both.",
        ),
        partial(_of_lake, ("rates",), reconciliation.rate_chain),
    )
    yield from _pairs("rates", reconciliation.rates, "Each rate of each day is equal within half a basis point.")
    yield from _pairs("power", reconciliation.power, "The daily mean of each zone is equal within 0.05 EUR/MWh.")
    yield from _pairs("stocks", reconciliation.stock, "Registered stock of each day is equal within one lot or 0.1 %.")


def _of_lake(datasets: tuple[str, ...], compare: Callable[..., Comparison], workspace: "Workspace") -> Comparison:
    """Comparison of datasets as they are known now."""
    return compare(*(workspace.lake.read(name, as_of=workspace.now) for name in datasets))


def _pairs(
    dataset: str, compare: Callable[..., Comparison], description: str
) -> Iterator[tuple[dg.AssetCheckSpec, Compare]]:
    for pair in combinations(FEEDS[dataset].sources, 2):
        spec = dg.AssetCheckSpec(
            "_agrees_with_".join(pair),
            asset=lake_key(dataset),
            description=f"{description} Responses of the last {reconciliation.MONTHS} months.",
        )
        yield spec, partial(_of_responses, dataset, pair, compare)


def _of_responses(
    dataset: str, pair: tuple[str, str], compare: Callable[..., Comparison], workspace: "Workspace"
) -> Comparison:
    """Comparison of the responses of two sources."""
    return compare(*reconciliation.comparable_rows(dataset, pair, workspace.now, workspace.scope, workspace.archive))


def _result(key: dg.AssetCheckKey, workspace: "Workspace", compare: Compare) -> dg.AssetCheckResult:
    result = partial(dg.AssetCheckResult, asset_key=key.asset_key, check_name=key.name)
    try:
        found = compare(workspace)
    except (OSError, ValueError) as error:  # the models refuse a damaged lake; a check blocks nothing
        return result(passed=False, severity=dg.AssetCheckSeverity.WARN, description=str(error))
    failed = found.state == "fail"
    return result(
        passed=found.state == "ok",
        severity=dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN,
        description=str(found),
        metadata={"compared": found.compared, "worst": found.worst, "where": found.where, "unit": found.limits.unit},
    )
