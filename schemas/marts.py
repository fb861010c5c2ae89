"""The published tables of `marts`: columns and keys. dbt contracts and comments are generated from here."""

from __future__ import annotations

from schemas.base import Mart, Table, field

RATE = field("Overnight rate (rate_id) as a fraction (r); missing when older than max_age_days_rate", "1/yr")


class PriceDaily(Table):
    """Prices by trading day, as known now, with the states of the price levels and of the curve."""

    __columns__ = (
        "metal obs_date cash_usd_t? m3_usd_t? cash_3m_spread_usd_t? m3_yoy? m3_yoy_base_date? level_state_5of5? "
        "level_state_3of5? backwardation_sustained is_suspect knowledge_ts knowledge_ts_max knowledge_basis vintage_no "
        "source licence_class"
    )
    is_suspect = field("Whether m3_usd_t lies beyond the prices before and after it by more than price_reversal")
    knowledge_ts_max = field("Latest knowledge time of all prices that the states, m3_yoy and is_suspect depend on")


class CurveDaily(Table):
    """The forward curve at each decision time: spread, carry and yield."""

    __columns__ = (
        "metal as_of_date as_of_ts price_obs_date? rate_obs_date? rate_id? is_rate_stale? price_age_days? cash_usd_t? "
        "m3_usd_t? days_cash_to_3m? is_third_wednesday_cash? cash_3m_spread_usd_t? basis_ann? rate? "
        "full_carry_usd_t? contango_share_of_full_carry? carry_tightness? conv_yield_ann? quoted_cash_3m_usd_t? "
        "quoted_tom_next_usd_t? quoted_m3_m15_usd_t? quoted_dec_dec_usd_t? quoted_spread_disagrees? knowledge_ts_max? "
        "knowledge_basis? licence_class?"
    )
    rate = RATE


class CurveSpreadsDaily(Table):
    """Every quoted spread at each decision time: one row for each tenor."""

    __columns__ = (
        "metal spread as_of_date as_of_ts spread_obs_date spread_age_days is_stale usd_t days_between_prompts "
        "price_obs_date? cash_usd_t? yield_ann? knowledge_ts_max knowledge_basis licence_class"
    )


class InventoryDaily(Table):
    """Registered stock at each decision time."""

    __columns__ = (
        "metal as_of_date as_of_ts stock_obs_date? cancelled_obs_date? stock_age_days? cancelled_age_days? total_t? "
        "live_t? cancelled_t? cancelled_ratio? stock_days? stock_log_chg? relabelled? stock_log_chg_net? "
        "new_cancellations? relabelled_t? knowledge_ts_max? knowledge_basis? licence_class?"
    )
    cancelled_t = field("Cancelled warrants of cancelled_obs_date")
    cancelled_ratio = field("cancelled / total of cancelled_obs_date; missing where total is 0")


class InventoryVisibleMonthly(Table):
    """Visible stock by month-end, as known now: off-warrant plus registered."""

    __columns__ = (
        "metal period_end knowledge_ts offwarrant_t registered_t visible_t offwarrant_yoy? visible_yoy? lowest_since "
        "is_record_low shanghai_obs_date? shanghai_t? visible_all_t? visible_all_definition? "
        "visible_all_lowest_since? vintage_no source knowledge_basis licence_class"
    )
    period_end = field("Month-end business day")
    knowledge_basis = field("Basis of the knowledge time of off-warrant and registered stock")


class ExportsMonthly(Table):
    """Exports by period and vintage."""

    __columns__ = (
        "metal country period_end vintage_no period_months exports_kt exports_yoy? exports_yoy_3m? exports_ytd_yoy? "
        "score_exports_yoy_3m? n_hist? knowledge_ts knowledge_basis source licence_class"
    )
    country = field("Exporting country, ISO 3166 alpha-2")
    vintage_no = field("Number of the vintage: 1 for the first release of the period, then counted up")
    score_exports_yoy_3m = field(
        "1 - mid-rank of exports_yoy_3m among the periods known at the release; for the latest period alone"
    )
    n_hist = field("Number of periods in that rank")


class PowerDaily(Table):
    """Day-ahead power by zone and delivery day, as known now."""

    __columns__ = (
        "zone delivery_date resolution_min n_mtu n_points mean_eur_mwh? naive_mean_of_points_eur_mwh? fx_obs_date? "
        "eurusd? mean_usd_mwh? power_cost_usd_t? share_above_115usd? share_below_40usd? knowledge_ts source "
        "knowledge_basis licence_class"
    )
    knowledge_ts = field("Knowledge time of the auction result, before the delivery day")


class ArbitrageDaily(Table):
    """Result of importing metal into China and of exporting semis from it, at each decision time."""

    __columns__ = (
        "metal as_of_date as_of_ts arb_obs_date price_obs_date? shfe_cny_t? lme_usd_t? cif_premium_usd_t? usdcny? "
        "dest_premium_usd_t? freight_usd_t? vat? import_duty? semis_rebate? port_cny_t import_arb_cny_t? "
        "shfe_lme_ratio? semis_export_arb_usd_t? export_window? knowledge_ts_max? knowledge_basis? licence_class?"
    )
    price_obs_date = field("Trading day of the three-month price")


class SmelterMarginDaily(Table):
    """Smelter cost, margin and break-even power by zone, at each decision time; other cash cost is an ASSUMPTION."""

    __columns__ = (
        "metal zone as_of_date as_of_ts price_obs_date? cost_obs_date? power_delivery_date cash_usd_t? premium_usd_t? "
        "alumina_usd_t? mwh_per_t alumina_t_per_t? other_cash_usd_t? other_cash_status? power_usd_mwh? "
        "power_cost_usd_t? cash_cost_usd_t? power_share_of_cost? margin_usd_t? breakeven_power_usd_mwh? "
        "headroom_usd_mwh? curtailment_state? power_usd_mwh_30d? n_power_days_30d score_power? score_headroom? "
        "supply_stress? n_hist knowledge_ts_max? knowledge_basis? licence_class?"
    )
    cash_usd_t = field(gt=None)
    n_hist = field("Number of values in the ranking windows of score_power and score_headroom, the lower of the two")


class SupplyMonthly(Table):
    """Primary production by country and period, as known now."""

    __columns__ = (
        "metal country period_end period_months n_days production_kt annualised_kt cap_kt? cap_utilisation? "
        "production_yoy? knowledge_ts knowledge_ts_max vintage_no is_suspect source knowledge_basis licence_class"
    )
    country = field("Producing country, ISO 3166 alpha-2")


class EquityDaily(Table):
    """Closes of producers' shares, as known now."""

    __columns__ = (
        "ticker obs_date close_usd high_252_usd n_closes near_high knowledge_ts knowledge_ts_max vintage_no source "
        "knowledge_basis licence_class"
    )


class PositionsWeekly(Table):
    """Positions of money managers by contract and week, as known now."""

    __columns__ = (
        "metal contract obs_date managed_long managed_short managed_net open_interest net_share? net_percentile? "
        "n_hist knowledge_ts vintage_no source knowledge_basis licence_class"
    )
    obs_date = field("Day of the positions")
    n_hist = field("Number of weeks in the rank of net_percentile")


class ExchangeStocksWeekly(Table):
    """Stock of other exchanges, the last report of each week as known now; never added to the registered stock."""

    __columns__ = (
        "metal exchange product obs_date total_t on_warrant_t? base_obs_date? total_chg_t? knowledge_ts vintage_no "
        "source knowledge_basis licence_class"
    )
    obs_date = field("Day of the report")
    total_t = field("Stock of the exchange by its own definition, on warrant or not")


class UsParityDaily(Table):
    """Value of a tonne in the United States against the cost of importing one, at each decision time."""

    __columns__ = (
        "metal as_of_date as_of_ts price_obs_date? midwest_obs_date? unpaid_obs_date? cash_usd_t? "
        "midwest_premium_usd_t? unpaid_premium_usd_t? us_freight_usd_t section_232? replacement_usd_t? us_price_usd_t? "
        "parity_gap_usd_t? knowledge_ts_max knowledge_basis licence_class"
    )
    cash_usd_t = field(gt=None)


class StocksByLocationDaily(Table):
    """Registered stock by place at each decision time: its concentration, and the wait for cancelled metal."""

    __columns__ = (
        "metal as_of_date as_of_ts place_obs_date place_age_days n_places total_t largest_place largest_share? "
        "herfindahl? queue_place queue_cancelled_t load_out_t_day? queue_days? knowledge_ts_max knowledge_basis "
        "licence_class"
    )
    total_t = field("Registered stock of the places")


class EventCalendar(Table):
    """Watched events that are near, at each decision time, each on the date that was known then.

    Near: at most event_near_before_days ahead, or event_near_after_days past. Signals and claims do not depend on it.
    """

    __columns__ = (
        "event_id as_of_date as_of_ts title event_kind event_date days_to_event state known_since status source"
    )
    state = field(
        "ACTIVE from event_before_days before the event to event_after_days after it, else AHEAD or PAST",
        isin=["AHEAD", "ACTIVE", "PAST"],
    )
    status = field("Whether event_date is a FACT or an ASSUMPTION")
    source = field("Document or publisher of the event")


class IndicatorRanksDaily(Table):
    """Each component of the index with its ranks over several windows and its robust z."""

    __columns__ = (
        "metal version indicator as_of_date as_of_ts family region sign weight value? percentile? score? n_hist "
        "expanding_percentile? rank_2y? rank_5y? rank_10y? rank_sensitivity? median? mad? robust_z? ranked_from? "
        "is_break break_ids? contribution? contribution_chg_1d? contribution_chg_5d? contribution_chg_20d?"
    )
    value = field("Value of the indicator; missing when older than its max_age_days", "see indicator")
    score = field(
        "Rank where higher is tighter, 1 - rank where lower is tighter; rank: percentile, in version 2 the mean of "
        "percentile and expanding_percentile"
    )
    contribution = field("What the component contributes to the index of its version", "index points", nullable=True)


class IndexHistoryDaily(Table):
    """Each version of the index, and its challenger, beside its own past, at each decision time that has a value."""

    __columns__ = (
        "metal index_name as_of_date as_of_ts value percentile change_1d? change_5d? change_20d? low_2y high_2y low_5y "
        "high_5y low_10y high_10y"
    )
    value = field("Value of the index", "index points", ge=0, le=100)
    percentile = field("Mid-rank of value among all since the first day")


class TightnessDaily(Table):
    """The inputs known at each decision time, with the scores, the index and the regime: one wide row."""

    __columns__ = (
        "metal as_of_date as_of_ts price_obs_date? stock_obs_date? rate_obs_date? rate_id? is_rate_stale? "
        "exports_period_end? offwarrant_period_end? cash_usd_t? m3_usd_t? days_cash_to_3m? cash_3m_spread_usd_t? "
        "basis_ann? rate? full_carry_usd_t? contango_share_of_full_carry? carry_tightness? conv_yield_ann? total_t? "
        "live_t? cancelled_ratio? stock_days? stock_log_chg? exports_yoy? exports_yoy_3m? exports_ytd_yoy? "
        "offwarrant_yoy? visible_t? score_carry_tightness? score_cancelled_ratio? score_stock_days? "
        "score_stock_log_chg? score_exports_yoy_3m? family_curve? family_inventory? family_flow? contrib_curve? "
        "contrib_inventory? contrib_flow? coverage n_components tightness_index? regime regime_status quality "
        "quality_flags family_curve_v2? family_stock_v2? family_flow_v2? family_physical_v2? contrib_curve_v2? "
        "contrib_stock_v2? contrib_flow_v2? contrib_physical_v2? weight_curve_v2? weight_stock_v2? weight_flow_v2? "
        "weight_physical_v2? coverage_v2? tightness_index_v2? smoothed_index_v2? regime_v2? regime_status_v2? "
        "knowledge_ts_max? knowledge_basis? licence_class?"
    )
    rate = RATE


WORST_FLAG = "quality = split_part(quality_flags, ' ', 1)"


class ScarcityDaily(Table):
    """Convenience yield that the registered stock explains, and what it does not, at each decision time."""

    __columns__ = (
        "metal as_of_date as_of_ts conv_yield_ann ln_stock_days n slope? intercept? r2? fitted? residual? "
        "residual_score? knowledge_ts_max? licence_class?"
    )
    n = field("Decision days in the regression", "count", ge=1, le=None)


MARTS: dict[str, Mart] = {
    "price_daily": Mart(PriceDaily, "marts", key=("metal", "obs_date")),
    "curve_daily": Mart(CurveDaily, "marts", key=("metal", "as_of_date")),
    "curve_spreads_daily": Mart(CurveSpreadsDaily, "marts", key=("metal", "spread", "as_of_date")),
    "inventory_daily": Mart(InventoryDaily, "marts", key=("metal", "as_of_date")),
    "inventory_visible_monthly": Mart(
        InventoryVisibleMonthly, "marts", key=("metal", "period_end"), cadence="monthly",
    ),
    "exports_monthly": Mart(
        ExportsMonthly, "marts", key=("metal", "country", "period_end", "vintage_no"), cadence="monthly",
    ),
    "power_daily": Mart(PowerDaily, "marts", key=("zone", "delivery_date")),
    "arbitrage_daily": Mart(ArbitrageDaily, "marts", key=("metal", "as_of_date")),
    "smelter_margin_daily": Mart(SmelterMarginDaily, "marts", key=("metal", "zone", "as_of_date")),
    "supply_monthly": Mart(SupplyMonthly, "marts", key=("metal", "country", "period_end"), cadence="monthly"),
    "equity_daily": Mart(EquityDaily, "marts", key=("ticker", "obs_date")),
    "positions_weekly": Mart(
        PositionsWeekly, "marts", key=("metal", "contract", "obs_date"), cadence="weekly",
    ),
    "exchange_stocks_weekly": Mart(
        ExchangeStocksWeekly, "marts", key=("metal", "exchange", "product", "obs_date"), cadence="weekly",
    ),
    "us_parity_daily": Mart(UsParityDaily, "marts", key=("metal", "as_of_date")),
    "stocks_by_location_daily": Mart(StocksByLocationDaily, "marts", key=("metal", "as_of_date")),
    "event_calendar": Mart(EventCalendar, "marts", key=("event_id", "as_of_date")),
    "indicator_ranks_daily": Mart(IndicatorRanksDaily, "marts", key=("metal", "version", "indicator", "as_of_date")),
    "index_history_daily": Mart(IndexHistoryDaily, "marts", key=("metal", "index_name", "as_of_date")),
    "scarcity_daily": Mart(ScarcityDaily, "marts", key=("metal", "as_of_date")),
    "tightness_daily": Mart(
        TightnessDaily, "marts", key=("metal", "as_of_date"),
        rules=(
            WORST_FLAG,
            "quality <> 'OK' or tightness_index is not null",
            # The contributions of the families sum to the index, to rounding.
            "abs(coalesce(contrib_curve, 0) + coalesce(contrib_inventory, 0) + coalesce(contrib_flow, 0) "
            "- tightness_index) <= 1e-9",
            "abs(coalesce(contrib_curve_v2, 0) + coalesce(contrib_stock_v2, 0) + coalesce(contrib_flow_v2, 0) "
            "+ coalesce(contrib_physical_v2, 0) - tightness_index_v2) <= 1e-9",
        ),
    ),
}  # fmt: skip
