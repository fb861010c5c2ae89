{# The vintages of a dataset, each with the interval in which it was the latest known.

   Duplicates fall together; where a user's drop file holds a month of a series, only its rows count there.
   Gives the dataset's columns, known_from, known_to, vintage_no, source, knowledge_basis, licence_class. #}
{% macro vintages(name) -%}
{%- set spec = dataset(name) -%}
{%- set key = spec.key | join(', ') -%}
{%- set month = 'year(' ~ spec.period ~ '), month(' ~ spec.period ~ ')' -%}
with captured as (
    select
        *,
        max(case when source = 'drop' then 1 else 0 end)
            over (partition by {{ (spec.entity ~ ', ') if spec.entity else '' }}{{ month }}) as is_month_dropped
    from {{ lake(name) }}
    where knowledge_ts <= {{ as_of() }}
),

distinct_vintages as (
    select *
    from captured
    where (source = 'drop') = (is_month_dropped = 1)
    qualify row_number() over (
        partition by {{ key }}, knowledge_ts
        order by vintage_no desc nulls last, ingest_ts desc nulls last, payload_sha256 asc nulls last
    ) = 1
)

select
    {{ spec.columns | join(',\n    ') }},
    knowledge_ts as known_from,
    coalesce(
        lead(knowledge_ts) over (partition by {{ key }} order by knowledge_ts asc nulls last), {{ far_future() }}
    ) as known_to,
    cast(row_number() over (partition by {{ key }} order by knowledge_ts asc nulls last) as integer) as vintage_no,
    source,
    knowledge_basis,
    licence_class
from distinct_vintages
{%- endmacro %}

{# What was known at each decision time, newest observation first.

   spine: relation with as_of_date, as_of_ts and the `by` columns; obs: vintages; period: its date column;
   back: how many days before as_of_date an observation may lie (an SQL expression over the spine).
   The bound keeps the join linear: every spine row looks at `back` dates by equality, never at all history. #}
{% macro known_at(spine, obs, period, back, by=[], columns=[], having='true') -%}
select
    {% for c in by %}looked.{{ c }},{% endfor %}
    looked.as_of_date,
    looked.as_of_ts,
    obs.{{ period }},
    {% for c in columns %}obs.{{ c }},{% endfor %}
    obs.known_from,
    obs.knowledge_basis,
    obs.licence_class,
    row_number() over (
        partition by {% for c in by %}looked.{{ c }}, {% endfor %}looked.as_of_date
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
