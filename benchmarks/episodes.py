"""`python -m benchmarks.episodes TABLES OUT`: both versions of the index over real history and in known episodes.

TABLES is a folder with the tables of a user who has a licence for them (LME prices, stock and cancelled warrants, SOFR
and EFFR). They go through the drop folder of a temporary place, from 2008 to the middle of 2025. OUT gets `episodes.md`
and charts over the whole time. Exit codes: 0 written, or skipped where TABLES is not there; 1 the run failed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import duckdb
import holidays
import numpy as np
import pandas as pd
from rich.console import Console

from benchmarks.bench import PROJECT, inherited
from benchmarks.measure import BenchmarkError, run
from pipelines.common.calendar import business_days
from pipelines.common.settings import variable_names
from pipelines.publish import plots

NOW: Final = "2025-06-30T22:00:00Z"  # the day of the last price
CANCELLED_DAYS: Final = 45  # cancelled warrants are known by month-end only: an age limit of their own
YEARS: Final = 20
VERSIONS: Final = {1: "", 2: "_v2"}  # and how their columns end
SHORT: Final = 5  # decision days
LEFT_OUT: Final = ("2008-01-02", "2008-11-08", "2022-09-19")  # reports of stock, see stocks_with_cancelled


DAILY: Final = """
    select daily.*, pca.value as index_pca
    from marts.tightness_daily as daily
    left join marts.index_history_daily as pca
        on daily.metal = pca.metal and daily.as_of_date = pca.as_of_date and pca.index_name = 'index_pca'
    order by daily.as_of_date
"""


class Episode(NamedTuple):
    """A time of which it is known from elsewhere what the market was like."""

    what: str
    first: str
    last: str


EPISODES: Final = (
    Episode("glut after the financial crisis", "2008-10-01", "2009-12-31"),
    Episode("contango of the financing years", "2010-01-01", "2013-12-31"),
    Episode("queues of cancelled warrants", "2014-07-01", "2015-12-31"),
    Episode("sanctions on Rusal", "2018-04-06", "2018-06-29"),
    Episode("glut of the pandemic", "2020-03-16", "2020-12-31"),
    Episode("price peak of March 2022", "2022-02-01", "2022-03-31"),
    Episode("re-warranting and its end", "2024-01-01", "2025-06-30"),
)


# --- the tables as drop files


def stocks_with_cancelled(tables: Path) -> pd.DataFrame:
    """Stocks by day of the close: the tables list them by day of the report, a business day later.

    Cancelled warrants, known by month only, are on the month's last report if its total is the same. Two reports are
    left out: a Saturday's, which repeats Friday's, and that of the Queen's funeral, a holiday of the calendar. The
    report of 2008-01-02 is of a day before the first month that is kept.
    """
    stocks = pd.read_csv(tables / "lme_stocks_daily.csv")
    cancelled = pd.read_csv(tables / "lme_cancelled_monthend.csv")
    last = stocks.dropna(subset="total_t").groupby(stocks["obs_date"].str[:7])["obs_date"].last().rename("obs_date")
    ends = cancelled.merge(last, left_on="month", right_index=True)
    stocks = stocks.merge(ends[["obs_date", "total_t", "cancelled_t"]], how="left", on=["obs_date", "total_t"])
    stocks = stocks[~stocks["obs_date"].isin(LEFT_OUT)]
    closed = sorted(holidays.country_holidays("GB", subdiv="ENG", years=range(2007, 2026)))
    closes = np.busday_offset(stocks["obs_date"].to_numpy("datetime64[D]"), -1, holidays=closed)
    return stocks.assign(obs_date=closes.astype(str))


def effective_rates(tables: Path) -> pd.DataFrame:
    """EFFR; the table repeats a rate on weekends and holidays, which are no observations."""
    rates = pd.read_csv(tables / "effr_daily.csv").query("obs_date >= '2008'")
    days = rates["obs_date"].to_numpy().astype("datetime64[D]")
    rates = rates[np.is_busday(days, busdaycal=business_days("NEW_YORK"))]
    return pd.DataFrame({"rate_id": "EFFR", "obs_date": rates["obs_date"], "rate_pct": rates["effr_pct"]})


FILES: Final[dict[str, Callable[[Path], pd.DataFrame]]] = {
    "prices/lme.csv": lambda tables: pd.read_csv(tables / "lme_prices_daily.csv"),
    "stocks/lme.csv": stocks_with_cancelled,
    "rates/sofr.csv": lambda tables: pd.read_csv(tables / "sofr_daily.csv"),
    "rates/effr.csv": effective_rates,
}


def publish(tables: Path, root: Path) -> Path:
    """Run the product on the tables, in folders under `root`: the published database. Raises `BenchmarkError`."""
    for name, read in FILES.items():
        file = root / "drop" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        read(tables).to_csv(file, index=False)
    reference = root / "reference"
    shutil.copytree(PROJECT / "data" / "reference", reference)
    path = reference / "index_components.csv"
    components = pd.read_csv(path, dtype=str, keep_default_na=False)
    components.loc[components["indicator"] == "cancelled_ratio", "max_age_days"] = str(CANCELLED_DAYS)
    components.to_csv(path, index=False)
    settings = dict.fromkeys(variable_names().values(), "") | {
        "TIGHTNESS_PROFILE": "drop",
        "TIGHTNESS_NOW": NOW,
        "TIGHTNESS_DATA_DIR": str(root / "data"),
        "TIGHTNESS_DROP_DIR": str(root / "drop"),
        "TIGHTNESS_REFERENCE_DIR": str(reference),
        "DAGSTER_HOME": str(root / "dagster"),
        "PYTHONPATH": str(PROJECT),
        "NO_COLOR": "1",
    }
    run([sys.executable, "-m", "pipelines.cli.app", "run"], inherited() | settings, root)
    return root / "data" / "published" / "tightness.duckdb"


# --- what they show


def figures(daily: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """What the rows of `tightness_daily` of an episode show: name and text."""
    indices = {version: daily[f"tightness_index{end}"].dropna() for version, end in VERSIONS.items()}
    counts = ", ".join(f"{len(rows)} with version {version}" for version, rows in indices.items())
    yield "days", f"{len(daily)}, {counts}"
    for name, rows, decimals in [
        *((f"index, version {version}", rows, 0) for version, rows in indices.items()),
        ("principal component", daily["index_pca"].dropna(), 0),
        ("cash less three months, USD/t", daily["cash_3m_spread_usd_t"].dropna(), 1),
        ("contango, share of full carry", daily["contango_share_of_full_carry"].dropna(), 2),
        ("stock, days of use", daily["stock_days"].dropna(), 1),
        ("registered stock, kt", daily["total_t"].dropna() / 1000, 0),
        ("cancelled ratio", daily["cancelled_ratio"].dropna(), 2),
    ]:
        yield name, _range(rows, decimals) if len(rows) else "none"
    for name, column in [
        *((f"regime {version}, share of days", f"regime{end}") for version, end in VERSIONS.items()),
        ("flags of version 1, share of days", "quality_flags"),
    ]:
        shares = daily[column].value_counts(normalize=True)
        yield name, ", ".join(f"{value} {share:.0%}" for value, share in shares.items())


def changes(daily: pd.DataFrame) -> Iterator[str]:
    """Lines of a table: how often the regime of each version changes, and what it is like in contango."""
    for version, end in VERSIONS.items():
        regimes = daily.loc[daily[f"regime{end}"] != "UNKNOWN", f"regime{end}"]
        starts = np.flatnonzero((regimes != regimes.shift()).to_numpy())
        years = (regimes.index[-1] - regimes.index[0]).days / 365.25
        lengths = np.diff(starts)  # of all but the last one
        names = regimes.iloc[starts].tolist()
        undone = [
            f"{regimes.index[start]:%Y-%m-%d} {names[i]} {lengths[i]} d"
            for i, start in enumerate(starts[:-1])
            if i > 0 and lengths[i] <= SHORT and names[i - 1] == names[i + 1]
        ]
        squeezed = daily.loc[regimes.index[regimes == "SQUEEZE"]]
        contango = (squeezed["cash_3m_spread_usd_t"] < 0).sum()
        median_contango = (squeezed["spread_median"] <= 0).sum()
        index = daily[f"tightness_index{end}"]
        before, after = index.loc["2024-05-09"], index.loc["2024-05-10"]
        yield (
            f"| {version} | {regimes.index[0]:%Y-%m-%d} | {len(starts) - 1}, {(len(starts) - 1) / years:.1f} a year | "
            f"{(lengths <= SHORT).sum()} | {', '.join(undone) or 'none'} | "
            f"{len(squeezed)}, {contango}, {median_contango} | {before:.0f}, {after:.0f} |"
        )


def _range(rows: pd.Series, decimals: int) -> str:
    """Mean, and the least and greatest value with the first day of each."""
    least, most = (f"{x:,.{decimals}f} ({rows.index[rows == x][0]:%Y-%m-%d})" for x in (rows.min(), rows.max()))
    return f"mean {rows.mean():,.{decimals}f}, from {least} to {most}"


def report(database: Path, out: Path) -> None:
    """Write the table of episodes and the charts of the whole time."""
    out.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(database), read_only=True) as connection:
        daily = connection.sql(DAILY).df().set_index("as_of_date")
        for plot in plots.PLOTS[:3]:
            rows = connection.sql(f"select {plot.day}, {', '.join(plot.columns)} from {plot.table} order by 1").df()
            image = plots.svg(plot, rows, "AL", synthetic=False, years=YEARS)
            (out / f"{plot.table.partition('.')[2]}.svg").write_text(image, encoding="utf-8")
    daily["spread_median"] = daily["cash_3m_spread_usd_t"].rolling(5, min_periods=1).median()
    index, second = daily["tightness_index"], daily["tightness_index_v2"]
    share = index[index.index >= "2009-07-01"].notna().mean()
    text = [
        f"Index on {index.notna().sum()} of {len(daily)} decision days, from {index.first_valid_index():%Y-%m-%d} to "
        f"{index.last_valid_index():%Y-%m-%d}; from 2009-07 on {share:.1%} of days. Version 2 on "
        f"{second.notna().sum()} days, from {second.first_valid_index():%Y-%m-%d}.",
        "",
        f"| version | first regime | changes | lasting {SHORT} days or less | of these undone by the next change | "
        "SQUEEZE days, with contango, with a median spread of 5 days of 0 or less | index of 2024-05-09 and 05-10 |",
        "|---|---|---|---|---|---|---|",
        *changes(daily),
    ]
    for episode in EPISODES:
        text += ["", f"## {episode.what}, {episode.first} to {episode.last}", "", "| | |", "|---|---|"]
        rows = daily[daily.index.to_series().between(episode.first, episode.last)]
        text += [f"| {name} | {found} |" for name, found in figures(rows)]
    (out / "episodes.md").write_text("\n".join([*text, ""]), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.episodes", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tables", type=Path, help="folder with the tables")
    parser.add_argument("out", type=Path, help="folder for the results")
    given = parser.parse_args()
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    if not given.tables.is_dir():
        console.print(f"skipped: {given.tables} is not there")
        return 0
    with tempfile.TemporaryDirectory(prefix="episodes-") as root:
        try:
            report(publish(given.tables.resolve(), Path(root).resolve()), given.out)
        except BenchmarkError as error:
            console.print(error)
            return 1
    console.print(given.out / "episodes.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
