{# The vintages of a dataset, each with the interval in which it was the latest known.

   Duplicates fall together. A user's drop of a month of a series stands before every other source from the moment on at
   which its first row was known; until then the source counts, since that is what was known.
   Gives the dataset's columns, known_from, known_to, vintage_no, is_suspect, source, knowledge_basis, licence_class. #}
{% macro vintages(name) -%}
{%- set spec = datasets()[name] -%}
{%- set key = spec.key | join(', ') -%}
{%- set month = 'year(' ~ spec.period ~ '), month(' ~ spec.period ~ ')' -%}
with captured as (
    select
        *,
        source = 'drop' as is_drop,
        min(case when source = 'drop' then knowledge_ts end)
            over (partition by {{ (spec.entity ~ ', ') if spec.entity else '' }}{{ month }}) as dropped_from
    from {{ lake(name) }}
    where knowledge_ts <= {{ as_of() }}
),

distinct_vintages as (
    select *
    from captured
    qualify row_number() over (
        partition by {{ key }}, is_drop, knowledge_ts
        order by vintage_no desc nulls last, ingest_ts desc nulls last, payload_sha256 asc nulls last
    ) = 1
),

intervals as (
    select
        *,
        least(
            coalesce(
                lead(knowledge_ts) over (partition by {{ key }}, is_drop order by knowledge_ts asc nulls last),
                {{ far_future() }}
            ),
            case when is_drop then {{ far_future() }} else coalesce(dropped_from, {{ far_future() }}) end
        ) as known_to
    from distinct_vintages
)

select
    {{ spec.columns | join(',\n    ') }},
    knowledge_ts as known_from,
    known_to,
    cast(row_number() over (partition by {{ key }} order by knowledge_ts asc nulls last) as integer) as vintage_no,
    coalesce(is_suspect, false) as is_suspect,
    source,
    knowledge_basis,
    licence_class
from intervals
where knowledge_ts < known_to
{%- endmacro %}

{# What was known at each decision time, newest observation first.

   spine: relation with as_of_date, as_of_ts and the `by` columns; obs: vintages; period: its date column;
   back: how many days before as_of_date an observation may lie (an SQL expression over the spine, which is `s`);
   by: the columns that name the series; keep: further columns of the spine that make rows of their own.
   The bound keeps the join linear: every spine row looks at `back` dates by equality, never at all history. #}
{% macro known_at(spine, obs, period, back, by=[], columns=[], having='true', keep=[]) -%}
select
    {% for c in keep + by %}looked.{{ c }},{% endfor %}
    looked.as_of_date,
    looked.as_of_ts,
    obs.{{ period }},
    {% for c in columns %}obs.{{ c }},{% endfor %}
    obs.known_from,
    obs.knowledge_basis,
    obs.licence_class,
    row_number() over (
        partition by {% for c in keep + by %}looked.{{ c }}, {% endfor %}looked.as_of_date
        order by obs.{{ period }} desc nulls last
    ) as recency
from (
    select spine.*, {{ days_before('spine.as_of_date', 'spine.days_back') }} as look_date
    from (select s.*, {{ numbers_to(back) }} as days_back from {{ spine }} as s) as spine
) as looked
inner join {{ obs }} as obs
    on {% for c in by %}looked.{{ c }} = obs.{{ c }} and {% endfor %}looked.look_date = obs.{{ period }}
where obs.known_from <= looked.as_of_ts and looked.as_of_ts < obs.known_to and {{ having }}
{%- endmacro %}

{# A reference table as it held on each day: per series (`by`) the last row that was valid by then, a metal's own row
   before the one for all. days: relation with metal and calendar_date. #}
{% macro valid_on(days, table, by, columns) -%}
select
    days.metal,
    days.calendar_date,
    {% for c in by + columns %}held.{{ c }}{% if not loop.last %},{% endif %}{% endfor %}
from {{ days }} as days
inner join {{ reference(table) }} as held
    on held.metal in (days.metal, '*') and held.valid_from <= days.calendar_date
qualify row_number() over (
    partition by days.metal, days.calendar_date{% for c in by %}, held.{{ c }}{% endfor %}
    order by case when held.metal = '*' then 1 else 0 end asc nulls last, held.valid_from desc nulls last
) = 1
{%- endmacro %}
