{% set back = 45 %}
{# The spreads that have a column; marts.curve_spreads_daily has a row for every one. #}
{% set quoted_spreads = ('CASH_3M', 'TOM_NEXT', 'M3_M15', 'DEC_DEC') %}
with spine as (
    select * from {{ ref('int_as_of_dates') }}
),

prices as (
    select * from (
        {{ known_at(
            ref('int_as_of_dates'), ref('stg_prices'), 'obs_date', back, by=['metal'],
            columns=['cash_usd_t', 'm3_usd_t', 'days_cash_to_3m'],
        ) }}
    ) as known
    where recency = 1
),

-- Of each observation date the rate that counts.
rate_chain as (
    select rates.*
    from {{ ref('stg_rates') }} as rates
    inner join (
        select
            rate_id,
            valid_from,
            coalesce(lead(valid_from) over (order by valid_from asc nulls last), cast('9999-12-31' as date)) as valid_to
        from {{ reference('rate_chain') }}
    ) as chain
        on rates.rate_id = chain.rate_id and rates.obs_date >= chain.valid_from and rates.obs_date < chain.valid_to
),

rates as (
    select * from (
        {{ known_at('(select distinct as_of_date, as_of_ts from spine)', 'rate_chain', 'obs_date', back,
            columns=['rate_id', 'rate_pct']) }}
    ) as known
    where recency = 1
),

quoted as (
    select
        metal,
        as_of_date,
        {% for spread in quoted_spreads -%}
        max(usd_t) filter (where spread = '{{ spread }}') as quoted_{{ spread | lower }}_usd_t,
        {% endfor -%}
        max(obs_date) filter (where spread = 'CASH_3M') as quoted_cash_3m_obs_date,
        max(known_from) as known_from,
        {{ worst_basis_of_group() }} as knowledge_basis,
        {{ worst_licence_of_group() }} as licence_class
    from {{ ref('int_spreads_asof') }}
    where spread in {{ quoted_spreads }}
    group by metal, as_of_date
),

inputs as (
    select
        spine.metal,
        spine.as_of_date,
        spine.as_of_ts,
        prices.obs_date as price_obs_date,
        rates.obs_date as rate_obs_date,
        rates.rate_id,
        prices.cash_usd_t,
        prices.m3_usd_t,
        coalesce(prices.days_cash_to_3m, calendar.days_cash_to_3m) as days_cash_to_3m,
        {{ is_third_wednesday('calendar.cash_prompt') }} as is_third_wednesday_cash,
        {{ cash_3m_spread('prices.cash_usd_t', 'prices.m3_usd_t') }} as cash_3m_spread_usd_t,
        {{ days_between('spine.as_of_date', 'prices.obs_date') }} as price_age_days,
        {{ days_between('spine.as_of_date', 'rates.obs_date') }} > p.stale_days_rate as is_rate_stale,
        case
            when {{ days_between('spine.as_of_date', 'rates.obs_date') }} <= p.max_age_days_rate
                then rates.rate_pct / 100
        end as rate,
        p.financing_spread,
        p.rent_usd_t_day,
        p.day_count,
        p.tick_usd_t,
        quoted.quoted_cash_3m_usd_t,
        quoted.quoted_tom_next_usd_t,
        quoted.quoted_m3_m15_usd_t,
        quoted.quoted_dec_dec_usd_t,
        quoted.quoted_cash_3m_obs_date,
        {{ latest(['prices.known_from', 'rates.known_from', 'quoted.known_from']) }} as knowledge_ts_max,
        {{ worst_basis(['prices.knowledge_basis', 'rates.knowledge_basis', 'quoted.knowledge_basis']) }}
            as knowledge_basis,
        {{ worst_licence(['prices.licence_class', 'rates.licence_class', 'quoted.licence_class']) }} as licence_class
    from spine
    inner join {{ ref('int_parameters') }} as p on spine.metal = p.metal and spine.as_of_date = p.calendar_date
    left join prices on spine.metal = prices.metal and spine.as_of_date = prices.as_of_date
    left join {{ reference('trading_calendar') }} as calendar on prices.obs_date = calendar.calendar_date
    left join rates on spine.as_of_date = rates.as_of_date
    left join quoted on spine.metal = quoted.metal and spine.as_of_date = quoted.as_of_date
),

with_full_carry as (
    select
        *,
        {{ full_carry('cash_usd_t', 'rate', 'financing_spread', 'days_cash_to_3m', 'day_count', 'rent_usd_t_day') }}
            as full_carry_usd_t
    from inputs
)

select
    metal,
    as_of_date,
    as_of_ts,
    price_obs_date,
    rate_obs_date,
    rate_id,
    is_rate_stale,
    cast(price_age_days as integer) as price_age_days,
    cash_usd_t,
    m3_usd_t,
    cast(days_cash_to_3m as integer) as days_cash_to_3m,
    is_third_wednesday_cash,
    cash_3m_spread_usd_t,
    {{ basis_ann('cash_3m_spread_usd_t', 'cash_usd_t', 'days_cash_to_3m') }} as basis_ann,
    rate,
    full_carry_usd_t,
    {{ contango_share_of_full_carry('cash_3m_spread_usd_t', 'full_carry_usd_t') }} as contango_share_of_full_carry,
    {{ carry_tightness('cash_3m_spread_usd_t', 'full_carry_usd_t') }} as carry_tightness,
    {{ conv_yield_ann('cash_3m_spread_usd_t', 'full_carry_usd_t', 'cash_usd_t', 'days_cash_to_3m') }} as conv_yield_ann,
    quoted_cash_3m_usd_t,
    quoted_tom_next_usd_t,
    quoted_m3_m15_usd_t,
    quoted_dec_dec_usd_t,
    -- Compared only where the quote is of the same day.
    case
        when quoted_cash_3m_obs_date = price_obs_date
            then abs(quoted_cash_3m_usd_t - cash_3m_spread_usd_t) > tick_usd_t
    end as quoted_spread_disagrees,
    knowledge_ts_max,
    knowledge_basis,
    licence_class
from with_full_carry
