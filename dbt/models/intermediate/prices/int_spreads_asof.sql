{# Days that a quoted spread is carried. #}
{% set back = 45 %}
with spine as (
    select dates.*, quoted.spread
    from {{ ref('int_as_of_dates') }} as dates
    inner join (select distinct metal, spread from {{ ref('stg_spreads') }}) as quoted on dates.metal = quoted.metal
)

select *
from (
    {{ known_at('spine', ref('stg_spreads'), 'obs_date', back, by=['metal', 'spread'], columns=['usd_t']) }}
) as known
where recency = 1
