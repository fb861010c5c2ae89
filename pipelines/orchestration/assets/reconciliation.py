"""Cross-checks: what two publishers say of one number, as checks of the datasets. They warn or fail, and block nothing:
a release rests on what the sources said, and a person looks which of them is wrong."""

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
    """All of them. Two sources of one dataset are compared by their answers: the lake keeps the first believed only."""
    return [
        _monthly_means(),
        *_pairs("rates", reconciliation.sofr, "SOFR of the same day is the same, to half a basis point."),
        *_pairs("power", reconciliation.power, "The mean of a zone's day is the same, to 5 cents."),
        *_pairs("stocks", reconciliation.stock, "Registered stock of the same day is the same, to a lot or 0.1 %."),
    ]


def _monthly_means() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=lake_key("benchmark_prices"),
        additional_deps=[lake_key("prices")],
        name="daily_prices_agree",
        description="The mean of a month's daily cash prices is within 1 % of what others publish for it.",
    )
    def check(workspace: WorkspaceResource) -> dg.AssetCheckResult:
        opened = workspace.open()
        prices, theirs = (opened.lake.read(name, as_of=opened.now) for name in ("prices", "benchmark_prices"))
        return _result(reconciliation.monthly_means(prices, theirs))

    return check


def _pairs(dataset: str, pair: Pair, description: str) -> list[dg.AssetChecksDefinition]:
    return [_pair(dataset, one, other, pair, description) for one, other in combinations(FEEDS[dataset].sources, 2)]


def _pair(dataset: str, one: str, other: str, pair: Pair, description: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=lake_key(dataset),
        name=f"{one}_agrees_with_{other}",
        description=f"{description} From the responses of the last {reconciliation.MONTHS} months.",
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
