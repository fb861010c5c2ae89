{# One row for each metal, ticker and decision day: the latest close of a producer's share known then, and the highest
   of the last year of closes known then. #}
{% macro equity_asof() -%}
{# Days before a decision time that a close of its year may lie. #}
{% set days_back = 's.near_high_obs * 3 / 2 + 30' %}
{% set one_year = [
    'last.ticker, windows.near_high_obs', 'last.obs_date asc nulls last', 'windows.near_high_obs'
] %}
with spine as (
    select dates.metal, names.ticker, dates.as_of_date, dates.as_of_ts, p.near_high_obs
    from {{ ref('int_as_of_dates') }} as dates
    inner join (
        select metal, ticker, min(valid_from) as valid_from
        from {{ reference('equities') }}
        group by metal, ticker
    ) as names
        on dates.metal = names.metal and dates.as_of_date >= names.valid_from
    inner join {{ ref('int_parameters') }} as p on dates.metal = p.metal and dates.as_of_date = p.calendar_date
    -- A ticker without a close has no rows: leave it out of the join.
    where names.ticker in (select ticker from {{ ref('stg_equities') }})
),

-- The date of the newest close known at each decision time: the latest among the closes and days in order of time.
newest as (
    select *
    from (
        select
            metal,
            ticker,
            as_of_date,
            as_of_ts,
            near_high_obs,
            max(obs_date) over (partition by ticker order by as_of_ts asc nulls last) as obs_date
        from (
            select metal, ticker, as_of_date, as_of_ts, near_high_obs, cast(null as date) as obs_date
            from spine
            union all
            select null as metal, ticker, null as as_of_date, known_from as as_of_ts, null as near_high_obs, obs_date
            from {{ ref('stg_equities') }}
        ) as moments
    ) as known
    where metal is not null
),

-- The year of closes that ends with each, from the last vintage of each.
years as (
    select
        last.ticker,
        last.obs_date,
        windows.near_high_obs,
        last.close_usd,
        {{ over_last('min', 'last.obs_date', *one_year) }} as first_obs_date,
        {{ over_last('max', 'last.close_usd', *one_year) }} as high_usd,
        {{ over_last('count', '1', *one_year) }} as n_closes,
        {{ over_last('max', 'last.known_from', *one_year) }} as known_from,
        {{ over_last('min', 'last.known_to', *one_year) }} as known_to,
        {{ worst_basis_of_group(one_year) }} as knowledge_basis,
        {{ worst_licence_of_group(one_year) }} as licence_class
    from (
        select *
        from {{ ref('stg_equities') }}
        qualify row_number() over (partition by ticker, obs_date order by known_from desc nulls last) = 1
    ) as last
    cross join (select distinct near_high_obs from spine) as windows
),

-- Where all closes of that year are the ones known at the decision time, no other is needed.
whole_years as (
    select
        s.metal,
        s.ticker,
        s.as_of_date,
        s.as_of_ts,
        years.obs_date,
        years.first_obs_date,
        years.close_usd,
        years.high_usd,
        years.n_closes,
        years.known_from,
        years.knowledge_basis,
        years.licence_class
    from newest as s
    inner join years
        on s.ticker = years.ticker and s.obs_date = years.obs_date and s.near_high_obs = years.near_high_obs
    where
        years.known_from <= s.as_of_ts
        and s.as_of_ts < years.known_to
        and years.obs_date <= s.as_of_date
        and years.first_obs_date >= {{ days_before('s.as_of_date', days_back) }}
),

-- A close that became known late, or another value later: the closes of each such decision time, one by one.
others as (
    select spine.*
    from spine
    left join whole_years as found
        on spine.metal = found.metal and spine.ticker = found.ticker and spine.as_of_date = found.as_of_date
    where found.metal is null
),

closes as (
    {{ known_at(
        'others', ref('stg_equities'), 'obs_date', days_back, by=['ticker'],
        columns=['close_usd'], keep=['metal', 'near_high_obs'],
    ) }}
)

select *
from whole_years
union all
select
    metal,
    ticker,
    as_of_date,
    as_of_ts,
    max(obs_date) as obs_date,
    min(obs_date) as first_obs_date,
    max(close_usd) filter (where recency = 1) as close_usd,
    max(close_usd) as high_usd,
    count(*) as n_closes,
    max(known_from) as known_from,
    {{ worst_basis_of_group() }} as knowledge_basis,
    {{ worst_licence_of_group() }} as licence_class
from closes
where recency <= near_high_obs
group by metal, ticker, as_of_date, as_of_ts
{%- endmacro %}
