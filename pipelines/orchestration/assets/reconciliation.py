"""Reconciliation checks of the datasets: one number from two publishers.

They warn or fail and block nothing: a release uses the preferred source, and a person finds out which one is wrong.
"""

from collections.abc import Callable
from itertools import combinations

import dagster as dg
import pandas as pd

from pipelines.datasets import FEEDS
from pipelines.ingestion import reconciliation
from pipelines.ingestion.reconciliation import Comparison
from pipelines.orchestration.assets.lake import lake_key
from pipelines.orchestration.resources import WorkspaceResource

Pair = Callable[[pd.DataFrame, pd.DataFrame], Comparison]


def cross_checks() -> list[dg.AssetChecksDefinition]:
    """All checks. Sources of one dataset are compared by their responses: the lake keeps the preferred one only."""
    return [
        _monthly_means(),
        _rate_chain(),
        *_pairs("rates", reconciliation.rates, "Each rate of each day is equal within half a basis point."),
        *_pairs("power", reconciliation.power, "The daily mean of each zone is equal within 0.05 EUR/MWh."),
        *_pairs("stocks", reconciliation.stock, "Registered stock of each day is equal within one lot or 0.1 %."),
    ]


def _monthly_means() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=lake_key("benchmark_prices"),
        additional_deps=[lake_key("prices")],
        name="daily_prices_agree",
        description="The monthly mean of the daily cash prices is within 1 % of the mean that others publish.",
    )
    def check(workspace: WorkspaceResource) -> dg.AssetCheckResult:
        return _of_lake(workspace, ("prices", "benchmark_prices"), reconciliation.monthly_means)

    return check


def _rate_chain() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=lake_key("rates"),
        name="sofr_agrees_with_effr",
        description="The median difference of SOFR and EFFR is within 10 bp in each month that has both.",
    )
    def check(workspace: WorkspaceResource) -> dg.AssetCheckResult:
        return _of_lake(workspace, ("rates",), reconciliation.rate_chain)

    return check


def _of_lake(
    workspace: WorkspaceResource, datasets: tuple[str, ...], compare: Callable[..., Comparison]
) -> dg.AssetCheckResult:
    """Result of a comparison of datasets as they are known now."""
    opened = workspace.open()
    try:
        frames = [opened.lake.read(name, as_of=opened.now) for name in datasets]
    except (OSError, ValueError) as error:  # the models refuse a damaged lake; a check blocks nothing
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description=str(error))
    return _result(compare(*frames))


def _pairs(dataset: str, pair: Pair, description: str) -> list[dg.AssetChecksDefinition]:
    return [_pair(dataset, one, other, pair, description) for one, other in combinations(FEEDS[dataset].sources, 2)]


def _pair(dataset: str, one: str, other: str, pair: Pair, description: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=lake_key(dataset),
        name=f"{one}_agrees_with_{other}",
        description=f"{description} Responses of the last {reconciliation.MONTHS} months.",
    )
    def check(workspace: WorkspaceResource) -> dg.AssetCheckResult:
        opened = workspace.open()
        rows = reconciliation.comparable_rows(dataset, (one, other), opened.now, opened.scope, opened.archive)
        return _result(pair(*rows))

    return check


def _result(found: Comparison) -> dg.AssetCheckResult:
    failed = found.state == "fail"
    return dg.AssetCheckResult(
        passed=found.state == "ok",
        severity=dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN,
        description=str(found),
        metadata={"compared": found.compared, "worst": found.worst, "where": found.where, "unit": found.limits.unit},
    )
