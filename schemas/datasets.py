"""The lake's datasets: columns, units, keys and rules. Nothing else in the project writes these column names down.

Column names are those of the drop folder (CONTRACT section 4), so that a user's file and a source's answer are the
same thing from here on. Rules that compare columns are `dataframe_check`s; each rule's name is its quarantine reason.
"""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from schemas.base import Dataset, Spec, column

METAL = "^[A-Z]{2}$"
# A flow over a whole month is not known before the month is nearly over: 16:00 in Beijing on its last day, the end of
# the working day, and a time at which the month has not ended anywhere yet.
FLOW_KNOWN_FROM = 8
RELEASE = "Number of the release as its publisher states it; only orders"


class Prices(Dataset):
    """Official exchange prices of a metal: cash settlement and three months."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", str_matches=METAL)
    obs_date: Series[pd.Timestamp] = column("Trading day", "date")
    cash_usd_t: Series[float] = column("Cash settlement price", "USD/t", nullable=True, gt=0, le=200_000)
    m3_usd_t: Series[float] = column("Three-month price", "USD/t", nullable=True, gt=0, le=200_000)
    days_cash_to_3m: Series[pd.Int64Dtype] = column(
        "Calendar days from the cash to the three-month prompt, where the source gives it",
        "days",
        nullable=True,
        ge=80,
        le=100,
    )

    @pa.dataframe_check(name="has_a_price", error="neither cash_usd_t nor m3_usd_t is given")
    def has_a_price(cls, df: pd.DataFrame) -> pd.Series:
        return df["cash_usd_t"].notna() | df["m3_usd_t"].notna()


class Stocks(Dataset):
    """Registered exchange stock (live and cancelled warrants) at the close of a day."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", str_matches=METAL)
    obs_date: Series[pd.Timestamp] = column("Day of the close", "date")
    total_t: Series[float] = column("Registered stock: live plus cancelled warrants", "t", ge=0, le=50_000_000)
    cancelled_t: Series[float] = column("Cancelled warrants: metal booked to leave", "t", nullable=True, ge=0)

    @pa.dataframe_check(name="cancelled_within_total", error="cancelled_t is more than total_t")
    def cancelled_within_total(cls, df: pd.DataFrame) -> pd.Series:
        return df["cancelled_t"].isna() | (df["cancelled_t"] <= df["total_t"])


class Spreads(Dataset):
    """Calendar spreads: extracted from the day's quotes, or quoted by the market. Positive is backwardation."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", str_matches=METAL)
    obs_date: Series[pd.Timestamp] = column("Trading day", "date")
    spread: Series[str] = column("Which legs", isin=["CASH_3M", "TOM_NEXT", "M3_M15", "DEC_DEC"])
    usd_t: Series[float] = column("Near leg less far leg; positive is backwardation", "USD/t", ge=-20_000, le=20_000)


class OffWarrant(Dataset):
    """Off-warrant ("shadow") stock at month-end, with the registered stock of the same day."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", str_matches=METAL)
    period_end: Series[pd.Timestamp] = column("Month-end business day", "date")
    offwarrant_t: Series[float] = column("Off-warrant stock", "t", ge=0, le=50_000_000)
    registered_month_end_t: Series[float] = column("Registered stock of that day", "t", ge=0, le=50_000_000)

    @pa.dataframe_check(name="ends_a_month", error="period_end is not one of the last four days of a month")
    def ends_a_month(cls, df: pd.DataFrame) -> pd.Series:
        # The last business day lies at most three days before the last day: a long weekend.
        return pd.Series((df["period_end"] + pd.Timedelta(days=4)).dt.month != df["period_end"].dt.month)


class Exports(Dataset):
    """Exports of a country by month; January and February may come as one pool of two months."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", str_matches=METAL)
    country: Series[str] = column("Exporter, ISO 3166 alpha-2", str_matches="^[A-Z]{2}$")
    period_end: Series[pd.Timestamp] = column("Last day of the period", "date")
    period_months: Series[int] = column("Months in the period: 1, or 2 for January-February", "months", ge=1, le=2)
    exports_kt: Series[float] = column("Exported quantity", "kt", ge=0, le=100_000)
    vintage: Series[pd.Int64Dtype] = column(RELEASE, "count", nullable=True, ge=1)

    @pa.dataframe_check(name="ends_a_month", error="period_end is not the last day of a month")
    def ends_a_month(cls, df: pd.DataFrame) -> pd.Series:
        return pd.Series(df["period_end"].dt.is_month_end)


class Rates(Dataset):
    """Secured overnight financing rate by US business day."""

    obs_date: Series[pd.Timestamp] = column("US business day the rate is for", "date")
    sofr_pct: Series[float] = column("Secured overnight financing rate", "percent per year", ge=-5, le=30)


class Fx(Dataset):
    """Reference exchange rates, quoted as units of the second currency for one of the first."""

    pair: Series[str] = column("Six letters, for example EURUSD: USD for one EUR", str_matches="^[A-Z]{6}$")
    obs_date: Series[pd.Timestamp] = column("Fixing day", "date")
    rate: Series[float] = column("Units of the second currency for one of the first", "ratio", gt=0, le=100_000)


class Power(Dataset):
    """Day-ahead auction points of a bidding zone; a missing position repeats the one before (curve type A03)."""

    zone: Series[str] = column("Bidding zone", str_matches="^[A-Z]{2}[A-Z0-9-]{0,8}$")
    delivery_date: Series[pd.Timestamp] = column("Local delivery day", "date")
    resolution: Series[str] = column("Market time unit", isin=["PT15M", "PT30M", "PT60M"])
    n_positions: Series[int] = column("Market time units in the day (23 to 25 hours of them)", "count", ge=1, le=100)
    position: Series[int] = column("Which market time unit, from 1", "count", ge=1, le=100)
    price_eur_mwh: Series[float] = column("Auction price; may be negative", "EUR/MWh", ge=-1_000, le=10_000)

    @pa.dataframe_check(name="position_within_day", error="position is beyond n_positions")
    def position_within_day(cls, df: pd.DataFrame) -> pd.Series:
        return df["position"] <= df["n_positions"]

    @pa.dataframe_check(name="day_length", error="n_positions is not a 23-, 24- or 25-hour day at this resolution")
    def day_length(cls, df: pd.DataFrame) -> pd.Series:
        per_hour = df["resolution"].map({"PT15M": 4, "PT30M": 2, "PT60M": 1})
        return (df["n_positions"] / per_hour).isin([23, 24, 25])


class Costs(Dataset):
    """What a smelter pays and gets beside the exchange price."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", str_matches=METAL)
    obs_date: Series[pd.Timestamp] = column("Assessment day", "date")
    alumina_usd_t: Series[float] = column("Alumina price", "USD/t alumina", nullable=True, gt=0, le=5_000)
    premium_usd_t: Series[float] = column(
        "Physical premium over the exchange", "USD/t", nullable=True, ge=-1_000, le=5_000
    )


class Production(Dataset):
    """Primary production of a country by month; January and February may come as one pool of two months."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", str_matches=METAL)
    country: Series[str] = column("Producer, ISO 3166 alpha-2", str_matches="^[A-Z]{2}$")
    period_end: Series[pd.Timestamp] = column("Last day of the period", "date")
    period_months: Series[int] = column("Months in the period: 1, or 2 for January-February", "months", ge=1, le=2)
    production_kt: Series[float] = column("Produced quantity", "kt", ge=0, le=100_000)
    vintage: Series[pd.Int64Dtype] = column(RELEASE, "count", nullable=True, ge=1)

    @pa.dataframe_check(name="ends_a_month", error="period_end is not the last day of a month")
    def ends_a_month(cls, df: pd.DataFrame) -> pd.Series:
        return pd.Series(df["period_end"].dt.is_month_end)


class Arbitrage(Dataset):
    """What it takes to compare the Shanghai price with the exchange price, day by day, as a desk notes it down."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", str_matches=METAL)
    obs_date: Series[pd.Timestamp] = column("Trading day", "date")
    shfe_cny_t: Series[float] = column("Shanghai futures price, value added tax included", "CNY/t", gt=0, le=2_000_000)
    cif_premium_usd_t: Series[float] = column(
        "Premium over the exchange for metal delivered to China, duty unpaid",
        "USD/t",
        nullable=True,
        ge=-1_000,
        le=5_000,
    )
    usdcny: Series[float] = column("CNY for one USD", "ratio", ge=1, le=20)
    dest_premium_usd_t: Series[float] = column(
        "Premium over the exchange where exported metal goes to", "USD/t", nullable=True, ge=-1_000, le=5_000
    )
    freight_usd_t: Series[float] = column("Freight from China to there", "USD/t", nullable=True, ge=0, le=5_000)


class Equities(Dataset):
    """Closing prices of producers' shares, not adjusted for dividends."""

    ticker: Series[str] = column("Ticker on its exchange", str_matches="^[A-Z][A-Z0-9.-]{0,11}$")
    obs_date: Series[pd.Timestamp] = column("Trading day of the exchange", "date")
    close_usd: Series[float] = column("Closing price", "USD", gt=0, le=10_000_000)


class BenchmarkPrices(Dataset):
    """Monthly mean prices published by others, kept to check the daily ones; never mixed with them."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", str_matches=METAL)
    benchmark: Series[str] = column("Publisher of the mean", isin=["WORLD_BANK", "FRED"])
    period_end: Series[pd.Timestamp] = column("Last day of the month", "date")
    mean_usd_t: Series[float] = column("Mean cash price of the month", "USD/t", gt=0, le=200_000)


class BenchmarkPower(Dataset):
    """Daily mean power prices published by others, kept to check the auctions' points; never mixed with them."""

    country: Series[str] = column("Country, ISO 3166 alpha-3", str_matches="^[A-Z]{3}$")
    delivery_date: Series[pd.Timestamp] = column("Delivery day", "date")
    mean_eur_mwh: Series[float] = column("Mean day-ahead price of the day", "EUR/MWh", ge=-1_000, le=10_000)


class ExchangeStocks(Dataset):
    """Stock in the warehouses of other exchanges, by their own definitions; never added to the registered stock."""

    metal: Series[str] = column("Metal, by its chemical symbol in capitals", str_matches=METAL)
    exchange: Series[str] = column("Exchange", isin=["SHFE"])
    obs_date: Series[pd.Timestamp] = column("Day of the report", "date")
    total_t: Series[float] = column("Stock, on warrant or not", "t", ge=0, le=50_000_000)


DATASETS: dict[str, Spec] = {
    "prices": Spec(
        Prices,
        "Exchange prices, cash and three months",
        key=("metal", "obs_date"),
        period="obs_date",
        entity="metal",
        cadence="daily",
    ),
    "stocks": Spec(
        Stocks,
        "Exchange stock, registered and cancelled",
        key=("metal", "obs_date"),
        period="obs_date",
        entity="metal",
        cadence="daily",
    ),
    "spreads": Spec(
        Spreads,
        "Calendar spreads",
        key=("metal", "spread", "obs_date"),
        period="obs_date",
        entity="metal",
        cadence="daily",
    ),
    "off_warrant": Spec(
        OffWarrant,
        "Off-warrant stock, month-end",
        key=("metal", "period_end"),
        period="period_end",
        entity="metal",
        cadence="monthly",
    ),
    "exports": Spec(
        Exports,
        "Exports by country, monthly",
        key=("metal", "country", "period_end"),
        period="period_end",
        entity="metal",
        cadence="monthly",
        within=("country",),
        known_from_hours=FLOW_KNOWN_FROM,
    ),
    "rates": Spec(
        Rates,
        "SOFR, daily",
        key=("obs_date",),
        period="obs_date",
        entity=None,
        cadence="daily",
    ),
    "fx": Spec(
        Fx,
        "Reference exchange rates, daily",
        key=("pair", "obs_date"),
        period="obs_date",
        entity="pair",
        cadence="daily",
    ),
    "power": Spec(
        Power,
        "Day-ahead power prices",
        key=("zone", "delivery_date", "resolution", "position"),
        period="delivery_date",
        entity="zone",
        cadence="daily",
        known_from_hours=-24,  # the auction is held the day before delivery
    ),
    "costs": Spec(
        Costs,
        "Alumina price and physical premium",
        key=("metal", "obs_date"),
        period="obs_date",
        entity="metal",
        cadence="daily",
    ),
    "production": Spec(
        Production,
        "Primary production by country, monthly",
        key=("metal", "country", "period_end"),
        period="period_end",
        entity="metal",
        cadence="monthly",
        within=("country",),
        known_from_hours=FLOW_KNOWN_FROM,
    ),
    "arbitrage": Spec(
        Arbitrage,
        "Shanghai price, premia and freight",
        key=("metal", "obs_date"),
        period="obs_date",
        entity="metal",
        cadence="daily",
    ),
    "equities": Spec(
        Equities,
        "Closing prices of producers' shares",
        key=("ticker", "obs_date"),
        period="obs_date",
        entity="ticker",
        cadence="daily",
    ),
    "benchmark_prices": Spec(
        BenchmarkPrices,
        "Monthly mean prices, for cross-checks",
        key=("metal", "benchmark", "period_end"),
        period="period_end",
        entity="metal",
        cadence="monthly",
        within=("benchmark",),
    ),
    "benchmark_power": Spec(
        BenchmarkPower,
        "Daily mean power prices, for cross-checks",
        key=("country", "delivery_date"),
        period="delivery_date",
        entity="country",
        cadence="daily",
        known_from_hours=-24,  # the auction is held the day before delivery
    ),
    "exchange_stocks": Spec(
        ExchangeStocks,
        "Stock of other exchanges, weekly",
        key=("metal", "exchange", "obs_date"),
        period="obs_date",
        entity="metal",
        cadence="daily",
        within=("exchange",),
    ),
}
