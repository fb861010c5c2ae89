-- The parameters that hold on each day, one column each: a metal's own value stands before the one for all, and of
-- several the latest that is already valid. Two days ahead, because power is known before its day.
with days as (
    select metals.metal, calendar.calendar_date
    from {{ reference('metals') }} as metals
    inner join {{ reference('trading_calendar') }} as calendar
        on calendar.calendar_date <= {{ days_before('cast(' ~ as_of() ~ ' as date)', -2) }}
),

applicable as (
    select
        days.metal,
        days.calendar_date,
        parameters.name,
        parameters.value
    from days
    inner join {{ reference('parameters') }} as parameters
        on parameters.metal in (days.metal, '*') and parameters.valid_from <= days.calendar_date
    qualify row_number() over (
        partition by days.metal, days.calendar_date, parameters.name
        order by
            case when parameters.metal = '*' then 1 else 0 end asc nulls last,
            parameters.valid_from desc nulls last
    ) = 1
)

select
    metal,
    calendar_date,
    {% for name in parameter_names() -%}
    max(value) filter (where name = '{{ name }}') as {{ name }},
    {% endfor -%}
    md5(string_agg(name || '=' || cast(value as varchar), ';' order by name asc nulls last)) as params_hash
from applicable
group by metal, calendar_date
