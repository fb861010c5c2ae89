{{ config(materialized='by_decision_time') }}
{% set last_days = ['days.metal', 'days.as_of_date asc nulls last', 'p.arb_shut_days'] %}
-- Arbitrage between China and the world at each decision time, against the three-month price. Taxes are those of the
-- day.
with quotes as (
    select * from (
        {{ known_at(
            ref('int_as_of_dates'), ref('stg_arbitrage'), 'obs_date', 45, by=['metal'],
            columns=['shfe_cny_t', 'cif_premium_usd_t', 'usdcny', 'dest_premium_usd_t', 'freight_usd_t'],
        ) }}
    ) as known
    where recency = 1
),

inputs as (
    select
        quotes.metal,
        quotes.as_of_date,
        quotes.as_of_ts,
        quotes.obs_date as arb_obs_date,
        prices.obs_date as price_obs_date,
        quotes.shfe_cny_t,
        prices.value as lme_usd_t,
        quotes.cif_premium_usd_t,
        quotes.usdcny,
        quotes.dest_premium_usd_t,
        quotes.freight_usd_t,
        taxes.vat,
        taxes.import_duty,
        taxes.semis_rebate,
        p.port_cny_t,
        {{ latest(['quotes.known_from', 'prices.known_from']) }} as knowledge_ts_max,
        {{ worst_basis(['quotes.knowledge_basis', 'prices.knowledge_basis']) }} as knowledge_basis,
        {{ worst_licence(['quotes.licence_class', 'prices.licence_class']) }} as licence_class
    from quotes
    inner join {{ ref('int_parameters') }} as p on quotes.metal = p.metal and quotes.as_of_date = p.calendar_date
    left join {{ ref('int_price_recent') }} as prices
        on
            quotes.metal = prices.metal
            and quotes.as_of_date = prices.as_of_date
            and prices.series = 'm3'
            and prices.recency = 1
    left join {{ ref('int_taxes') }} as taxes
        on quotes.metal = taxes.metal and quotes.as_of_date = taxes.calendar_date
),

arbs as (
    select
        *,
        {{ import_arb('shfe_cny_t', 'lme_usd_t', 'cif_premium_usd_t', 'usdcny', 'import_duty', 'vat', 'port_cny_t') }}
            as import_arb_cny_t,
        {{ ratio('shfe_cny_t', 'lme_usd_t') }} as shfe_lme_ratio,
        {{ semis_export_arb(
            'shfe_cny_t', 'lme_usd_t', 'dest_premium_usd_t', 'freight_usd_t', 'usdcny', 'vat', 'semis_rebate'
        ) }} as semis_export_arb_usd_t
    from inputs
),

last_days as (
    select
        days.metal,
        days.as_of_date,
        case
            when {{ over_last('count', 'case when days.semis_export_arb_usd_t < 0 then 1 end', *last_days) }}
                >= p.arb_shut_days then 'SHUT'
            when {{ over_last('count', 'case when days.semis_export_arb_usd_t >= 0 then 1 end', *last_days) }} > 0
                then 'OPEN'
        end as export_window
    from (
        select metal, as_of_date, semis_export_arb_usd_t from arbs
        {% if is_partial() -%}
        union all
        select metal, as_of_date, semis_export_arb_usd_t
        from {{ kept_rows(this, ['metal'], longest('arb_shut_days')) }} as kept
        {%- endif %}
    ) as days
    inner join {{ ref('int_parameters') }} as p on days.metal = p.metal and days.as_of_date = p.calendar_date
)

select
    arbs.metal,
    arbs.as_of_date,
    arbs.as_of_ts,
    arbs.arb_obs_date,
    arbs.price_obs_date,
    arbs.shfe_cny_t,
    arbs.lme_usd_t,
    arbs.cif_premium_usd_t,
    arbs.usdcny,
    arbs.dest_premium_usd_t,
    arbs.freight_usd_t,
    arbs.vat,
    arbs.import_duty,
    arbs.semis_rebate,
    arbs.port_cny_t,
    arbs.import_arb_cny_t,
    arbs.shfe_lme_ratio,
    arbs.semis_export_arb_usd_t,
    last_days.export_window,
    arbs.knowledge_ts_max,
    arbs.knowledge_basis,
    arbs.licence_class
from arbs
inner join last_days on arbs.metal = last_days.metal and arbs.as_of_date = last_days.as_of_date
