{# Days that a price is carried. #}
{% set back = 45 %}
with quotes as (
    select metal, obs_date, 'm3' as series, m3_usd_t as value, known_from, known_to, knowledge_basis, licence_class
    from {{ ref('stg_prices') }}
    where m3_usd_t is not null
    union all
    select
        metal, obs_date, 'spread' as series, cash_usd_t - m3_usd_t as value,
        known_from, known_to, knowledge_basis, licence_class
    from {{ ref('stg_prices') }}
    where m3_usd_t is not null and cash_usd_t is not null
),

spine as (
    select dates.metal, series.series, dates.as_of_date, dates.as_of_ts
    from {{ ref('int_as_of_dates') }} as dates
    cross join (select distinct series from quotes) as series
)

{{ known_at('spine', 'quotes', 'obs_date', back, by=['metal', 'series'], columns=['value']) }}
