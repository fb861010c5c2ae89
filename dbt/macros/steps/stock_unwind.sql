{# One row for each metal and decision day: ON where the change of registered stock reached stock_unwind_ln on all of
   the last stock_unwind_k observations, OFF where it did not, missing where too few are known. #}
{% macro stock_unwind() -%}
with changes as (
    select
        recent.metal,
        recent.as_of_date,
        recent.recency,
        p.stock_unwind_k,
        p.stock_unwind_ln,
        {{ stock_log_chg('recent.total_t', 'earlier.total_t') }} as stock_log_chg,
        {{ latest(['recent.known_from', 'earlier.known_from']) }} as known_from
    from {{ ref('int_stocks_recent') }} as recent
    inner join {{ ref('int_parameters') }} as p on recent.metal = p.metal and recent.as_of_date = p.calendar_date
    inner join {{ ref('int_stocks_recent') }} as earlier
        on
            recent.metal = earlier.metal
            and recent.as_of_date = earlier.as_of_date
            and recent.recency + p.stock_chg_obs = earlier.recency
    where recent.recency <= p.stock_unwind_k
)

select
    metal,
    as_of_date,
    case
        when count(*) filter (where stock_log_chg >= stock_unwind_ln) >= max(stock_unwind_k) then 'ON'
        when count(*) filter (where stock_log_chg < stock_unwind_ln) > 0 then 'OFF'
    end as state,
    max(known_from) as known_from
from changes
group by metal, as_of_date
{%- endmacro %}
