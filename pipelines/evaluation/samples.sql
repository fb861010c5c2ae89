-- Decisions and outcomes from what was known before a moment (`cut`). Rows that were known later change neither.
create or replace temp table cutoff as select cast($cut as timestamptz) as cut;

-- Trading days with the values that were known first: a price is entered as it was published, not as it was corrected.
create or replace temp table trading_days as
select
    *,
    row_number() over (partition by metal order by obs_date) as n,
    ln(m3_usd_t / lag(m3_usd_t) over (partition by metal order by obs_date)) as log_return
from (
    select
        prices.metal,
        prices.obs_date,
        arg_min(prices.cash_usd_t, prices.known_from) as cash_usd_t,
        arg_min(prices.m3_usd_t, prices.known_from) as m3_usd_t,
        any_value(stocks.total_t) as total_t,
        greatest(min(prices.known_from), any_value(stocks.known_from)) as known_from
    from staging.stg_prices as prices
    left join (
        select metal, obs_date, arg_min(total_t, known_from) as total_t, min(known_from) as known_from
        from staging.stg_stocks
        where known_from < (select cut from cutoff) and total_t > 0
        group by metal, obs_date
    ) as stocks
        on prices.metal = stocks.metal and prices.obs_date = stocks.obs_date
    where prices.known_from < (select cut from cutoff)
    group by prices.metal, prices.obs_date
);

create or replace temp table horizons as select unnest($horizons) as horizon_obs;

-- What followed each trading day over h observations. A window that is not complete, or that misses a value that it
-- needs, has no outcome. `known_from`: when the outcome was known.
create or replace temp table outcomes as
with windows as (
    select
        days.*,
        horizons.horizon_obs,
        count(*) over ahead as n_ahead,
        count(days.log_return) over ahead as n_returns,
        sum(days.log_return * days.log_return) over ahead as squares,
        lead(days.m3_usd_t, horizons.horizon_obs) over path as last_m3_usd_t,
        lead(days.cash_usd_t, horizons.horizon_obs) over path as last_cash_usd_t,
        lead(days.total_t, horizons.horizon_obs) over path as last_total_t,
        greatest(days.known_from, max(days.known_from) over ahead) as outcome_known_from
    from trading_days as days
    cross join horizons
    window
        path as (partition by days.metal, horizons.horizon_obs order by days.n),
        ahead as (
            partition by days.metal, horizons.horizon_obs order by days.n
            rows between 1 following and horizons.horizon_obs following
        )
),

falls as (
    select
        entry.metal,
        entry.n,
        entry.later_n - entry.n as k,
        ln(later.m3_usd_t / max(later.m3_usd_t) over (
            partition by entry.metal, entry.n order by later.n rows between unbounded preceding and current row
        )) as fall
    from (
        select metal, n, n + unnest(range(0, (select max(horizon_obs) from horizons) + 1)) as later_n
        from trading_days
    ) as entry
    inner join trading_days as later on entry.metal = later.metal and entry.later_n = later.n
),

worst as (
    select falls.metal, falls.n, horizons.horizon_obs, min(falls.fall) as fall
    from falls
    cross join horizons
    where falls.k <= horizons.horizon_obs
    group by all
)

select
    windows.metal,
    windows.n,
    windows.horizon_obs,
    windows.outcome_known_from as known_from,
    ln(windows.last_m3_usd_t / windows.m3_usd_t) as fwd_m3_log_return,
    (windows.last_cash_usd_t - windows.last_m3_usd_t) - (windows.cash_usd_t - windows.m3_usd_t) as d_spread,
    ln(windows.last_total_t / windows.total_t) as d_ln_stock,
    case when windows.n_returns = windows.horizon_obs then sqrt(252 * windows.squares / windows.horizon_obs) end
        as realised_vol,
    case when windows.n_returns = windows.horizon_obs then worst.fall end as max_drawdown
from windows
inner join worst using (metal, n, horizon_obs)
where windows.n_ahead = windows.horizon_obs;

-- Decision times, with the trading day of the last price of a day up to the decision day; the entry is the next one.
create or replace temp table decisions as
select
    spine.metal,
    spine.as_of_date,
    spine.as_of_ts,
    spine.price_obs_date,
    spine.m3_usd_t,
    spine.cash_3m_spread_usd_t,
    spine.regime,
    spine.knowledge_basis,
    days.n as last_n
from marts.tightness_daily as spine
asof inner join trading_days as days on spine.metal = days.metal and spine.as_of_date >= days.obs_date
where spine.as_of_ts < (select cut from cutoff);

create or replace temp table momentum as
select metal, price_obs_date, ln(m3_usd_t / lag(m3_usd_t, 252) over (partition by metal order by price_obs_date)) as momentum
from (
    select metal, price_obs_date, arg_min(m3_usd_t, as_of_ts) as m3_usd_t
    from decisions
    where m3_usd_t is not null
    group by metal, price_obs_date
);

create or replace temp table buckets as
with published as (
    -- The first revision: what was known at the decision time.
    select
        signal_id,
        signal_version,
        metal,
        as_of_date,
        state,
        coalesce(score, case when unit = 'index points' then value / 100 end) as score,
        knowledge_basis
    from signals.signals
    where quality not in ('MISSING', 'WARMUP') and as_of_ts < (select cut from cutoff)
    qualify row_number() over (partition by signal_id, signal_version, metal, region, as_of_ts order by revision_no) = 1
)

select
    signal_id,
    signal_version,
    metal,
    as_of_date,
    knowledge_basis,
    coalesce(state, $bins[cast(least(floor(score * 5 + 1e-9), 4) as integer) + 1]) as bucket
from published
where state is distinct from 'UNKNOWN' and (state is not null or score is not null)
union all
select 'BENCH.CONSTANT', '1.0.0', metal, as_of_date, knowledge_basis, 'ON'
from decisions
union all
select
    'BENCH.BACKWARDATION', '1.0.0', metal, as_of_date, knowledge_basis,
    case when cash_3m_spread_usd_t > 0 then 'ON' else 'OFF' end
from decisions
where cash_3m_spread_usd_t is not null
union all
select
    'BENCH.MOM_252', '1.0.0', decisions.metal, decisions.as_of_date, decisions.knowledge_basis,
    case when momentum.momentum > 0 then 'UP' else 'DOWN' end
from decisions
inner join momentum using (metal, price_obs_date)
where momentum.momentum is not null;
