"""The lake's datasets: columns, keys and rules.

Column names are those of the drop folder (docs/operations.md), so that a user's file and a parsed response have the
same form. Rules that compare columns are `dataframe_check`s; the name of a rule is its quarantine reason.
"""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa

from schemas.base import Dataset, Spec, field

# A monthly flow is not known before 16:00 in Beijing on the last day of its month: the end of the working day, when the
# month has not ended in any time zone.
FLOW_KNOWN_FROM = 8
FIRST_SOFR = pd.Timestamp("2018-04-02")  # published on the next day, for the first time
TENORS = ("CASH_TOM", "TOM_NEXT", "CASH_3M", "M3_M15", "M3_M27", "DEC_DEC")
AUCTION_KNOWN_FROM = -24  # the auction is held on the day before delivery


class Prices(Dataset):
    """Official exchange prices of a metal: cash settlement and three months."""

    __columns__ = "metal obs_date cash_usd_t? m3_usd_t? days_cash_to_3m?"
    days_cash_to_3m = field("Calendar days from the cash prompt to the three-month prompt (D), where the source has it")

    @pa.dataframe_check(name="has_a_price", error="neither cash_usd_t nor m3_usd_t is given")
    def has_a_price(cls, df: pd.DataFrame) -> pd.Series:
        return df["cash_usd_t"].notna() | df["m3_usd_t"].notna()


class Stocks(Dataset):
    """Registered exchange stock at the close of a day: live and cancelled warrants."""

    __columns__ = "metal obs_date total_t cancelled_t?"
    obs_date = field("Day of the close; in the lake, rows of a source have the day of its report, a business day later")

    @pa.dataframe_check(name="cancelled_within_total", error="cancelled_t is more than total_t")
    def cancelled_within_total(cls, df: pd.DataFrame) -> pd.Series:
        return df["cancelled_t"].isna() | (df["cancelled_t"] <= df["total_t"])


class Spreads(Dataset):
    """Calendar spreads, quoted by the market or extracted from quotes; positive is backwardation."""

    __columns__ = "metal obs_date spread usd_t"

    @pa.dataframe_check(name="known_tenor", error=f"spread is none of {', '.join(TENORS)}, nor two months as in M3_M15")
    def known_tenor(cls, df: pd.DataFrame) -> pd.Series:
        months = df["spread"].str.extract(r"^M([1-9]\d{0,2})_M([1-9]\d{0,2})$").astype(float)
        return df["spread"].isin(TENORS) | (months[0] < months[1])


class OffWarrant(Dataset):
    """Off-warrant ("shadow") stock at month-end, with the registered stock of the same day."""

    __columns__ = "metal period_end offwarrant_t registered_month_end_t"
    period_end = field("Month-end business day")

    @pa.dataframe_check(name="ends_a_month", error="period_end is not one of the last four days of a month")
    def ends_a_month(cls, df: pd.DataFrame) -> pd.Series:
        # The last business day is at most three days before the last day of the month: a long weekend.
        return pd.Series((df["period_end"] + pd.Timedelta(days=4)).dt.month != df["period_end"].dt.month)


class MonthlyFlow(Dataset):
    """Base of monthly flows of a country; January and February may come as one pool of two months."""

    @pa.dataframe_check(name="ends_a_month", error="period_end is not the last day of a month")
    def ends_a_month(cls, df: pd.DataFrame) -> pd.Series:
        return pd.Series(df["period_end"].dt.is_month_end)


class Exports(MonthlyFlow):
    """Exports of a country by month; January and February may come as one pool of two months."""

    __columns__ = "metal country period_end period_months exports_kt vintage?"
    country = field("Exporting country, ISO 3166 alpha-2")


class Rates(Dataset):
    """Overnight rates in USD by US business day; the rate chain has the one that counts on a day."""

    __columns__ = "rate_id obs_date rate_pct"
    obs_date = field("US business day of the rate")

    @pa.dataframe_check(name="not_a_weekend", error="no rate is fixed on a Saturday or Sunday: leave the row out")
    def not_a_weekend(cls, df: pd.DataFrame) -> pd.Series:
        # Holidays are not tested: some days on which only a part of the market rests have a rate.
        weekday: pd.Series = df["obs_date"].dt.day_of_week
        return weekday < 5

    @pa.dataframe_check(name="sofr_exists", error="SOFR begins on 2018-04-02: write in rate_id which rate it is (EFFR)")
    def sofr_exists(cls, df: pd.DataFrame) -> pd.Series:
        return (df["rate_id"] != "SOFR") | (df["obs_date"] >= FIRST_SOFR)


class Fx(Dataset):
    """Reference exchange rates: units of the second currency for one unit of the first."""

    __columns__ = "pair obs_date rate"
    obs_date = field("Fixing day")


class Power(Dataset):
    """Day-ahead auction prices of a bidding zone; an omitted position repeats the one before (curve type A03)."""

    __columns__ = "zone delivery_date resolution n_positions position price_eur_mwh"

    @pa.dataframe_check(name="position_within_day", error="position is beyond n_positions")
    def position_within_day(cls, df: pd.DataFrame) -> pd.Series:
        return df["position"] <= df["n_positions"]

    @pa.dataframe_check(name="day_length", error="n_positions is not a 23-, 24- or 25-hour day at this resolution")
    def day_length(cls, df: pd.DataFrame) -> pd.Series:
        per_hour = df["resolution"].map({"PT15M": 4, "PT30M": 2, "PT60M": 1})
        return (df["n_positions"] / per_hour).isin([23, 24, 25])


class Costs(Dataset):
    """Alumina price and physical premium: what a smelter pays and receives beside the exchange price."""

    __columns__ = "metal obs_date alumina_usd_t? premium_usd_t?"
    obs_date = field("Assessment day")


class Production(MonthlyFlow):
    """Primary production of a country by month; January and February may come as one pool of two months."""

    __columns__ = "metal country period_end period_months production_kt vintage?"
    country = field("Producing country, ISO 3166 alpha-2")


class Arbitrage(Dataset):
    """Shanghai price, premiums, freight and exchange rate: what compares the Shanghai price with the exchange price."""

    __columns__ = "metal obs_date shfe_cny_t cif_premium_usd_t? usdcny dest_premium_usd_t? freight_usd_t?"


class Equities(Dataset):
    """Closing prices of producers' shares, not adjusted for dividends."""

    __columns__ = "ticker obs_date close_usd"


class BenchmarkPrices(Dataset):
    """Monthly mean prices of other publishers, for reconciliation with the daily prices alone."""

    __columns__ = "metal benchmark period_end mean_usd_t"
    period_end = field("Last day of the month")


class BenchmarkPower(Dataset):
    """Daily mean power prices of other publishers, for reconciliation with the auction prices alone."""

    __columns__ = "country delivery_date mean_eur_mwh"
    country = field("Country, ISO 3166 alpha-3", str_matches="^[A-Z]{3}$")
    mean_eur_mwh = field("Mean day-ahead price of the day")


class ExchangeStocks(Dataset):
    """Stock in the warehouses of other exchanges, by their own definitions; never added to the registered stock."""

    __columns__ = "metal exchange product obs_date total_t on_warrant_t?"
    obs_date = field("Day of the report")
    total_t = field("Stock, on warrant or not")

    @pa.dataframe_check(name="on_warrant_within_total", error="on_warrant_t is more than total_t")
    def on_warrant_within_total(cls, df: pd.DataFrame) -> pd.Series:
        return df["on_warrant_t"].isna() | (df["on_warrant_t"] <= df["total_t"])


class StocksByLocation(Dataset):
    """Registered exchange stock by place at the close of a day, and what was put in and taken out on it."""

    __columns__ = "metal location obs_date live_t cancelled_t in_t? out_t?"
    obs_date = field("Day of the close")
    live_t = field("Live warrants", le=50_000_000)


class Premia(Dataset):
    """Physical premia over the exchange price, by region."""

    __columns__ = "metal region obs_date usd_t"
    region = field("Region and terms of the delivery", isin=["EU_DUTY_PAID", "EU_DUTY_UNPAID", "JAPAN", "US_MIDWEST"])
    obs_date = field("Assessment day")
    usd_t = field("Premium over the exchange price", ge=-1_000, le=10_000)


class Positions(Dataset):
    """Positions of traders in a futures contract on one day of a week, usually Tuesday."""

    __columns__ = "contract obs_date managed_long managed_short open_interest"
    obs_date = field("Day of the positions")

    @pa.dataframe_check(name="within_open_interest", error="managed_long or managed_short is more than open_interest")
    def within_open_interest(cls, df: pd.DataFrame) -> pd.Series:
        return df[["managed_long", "managed_short"]].max(axis=1) <= df["open_interest"]


DATASETS: dict[str, Spec] = {
    "prices": Spec(Prices, key=("metal", "obs_date")),
    "stocks": Spec(Stocks, key=("metal", "obs_date")),
    "spreads": Spec(Spreads, key=("metal", "spread", "obs_date"), parts=("spread",)),
    "off_warrant": Spec(OffWarrant, key=("metal", "period_end"), period="period_end", cadence="monthly"),
    "exports": Spec(
        Exports, key=("metal", "country", "period_end"), period="period_end", cadence="monthly", within=("country",),
        known_from_hours=FLOW_KNOWN_FROM,
    ),
    "rates": Spec(
        Rates, key=("rate_id", "obs_date"), entity="rate_id", aliases={"sofr_pct": "rate_pct"},
        defaults={"rate_id": "SOFR"},
    ),
    "fx": Spec(Fx, key=("pair", "obs_date"), entity="pair"),
    "power": Spec(
        Power, key=("zone", "delivery_date", "resolution", "position"), period="delivery_date", entity="zone",
        known_from_hours=AUCTION_KNOWN_FROM,
    ),
    "costs": Spec(Costs, key=("metal", "obs_date")),
    "production": Spec(
        Production, key=("metal", "country", "period_end"), period="period_end", cadence="monthly", within=("country",),
        known_from_hours=FLOW_KNOWN_FROM,
    ),
    "arbitrage": Spec(Arbitrage, key=("metal", "obs_date")),
    "equities": Spec(Equities, key=("ticker", "obs_date"), entity="ticker"),
    "benchmark_prices": Spec(
        BenchmarkPrices, key=("metal", "benchmark", "period_end"), period="period_end", cadence="monthly",
        within=("benchmark",),
    ),
    "benchmark_power": Spec(
        BenchmarkPower, key=("country", "delivery_date"), period="delivery_date", entity="country",
        known_from_hours=AUCTION_KNOWN_FROM,
    ),
    "exchange_stocks": Spec(
        ExchangeStocks, key=("metal", "exchange", "product", "obs_date"), within=("exchange", "product"),
        defaults={"product": "METAL"},
    ),
    "stocks_by_location": Spec(StocksByLocation, key=("metal", "location", "obs_date"), within=("location",)),
    "premia": Spec(Premia, key=("metal", "region", "obs_date"), within=("region",)),
    "positions": Spec(Positions, key=("contract", "obs_date"), entity="contract"),
}  # fmt: skip
