{# The vintages of a dataset, each with the interval in which it was the latest known.

   Duplicate rows are removed. A month in the drop folder overrides every other source of that series and month from the time
   on at which its first row was known; until then the source counts, because that is what was known.
   Most observations have one row, so only the others are sorted. `condition` narrows the rows to whole months;
   `relation` is the dataset's rows, by default as the lake has them.
   Columns: the dataset's, known_from, known_to, vintage_no, is_suspect, source, knowledge_basis, licence_class. #}
{% macro vintages(name, condition='true', relation=none) -%}
{%- set spec = datasets()[name] -%}
{%- set key = spec.key | join(', ') -%}
{%- set entity = (spec.entity ~ ', ') if spec.entity else '' -%}
{#- Not a CTE: each part reads only its columns and rows of the files, and nothing is kept in memory. -#}
{%- set captured -%}
(
    select *, source = 'drop' as is_drop, {{ year_month(spec.period) }} as year_and_month
    from {{ relation or lake(name) }}
    where knowledge_ts <= {{ as_of() }} and {{ condition }}
) as captured
{%- endset -%}
{%- set overridden_from -%}
case when captured.is_drop then {{ far_future() }} else coalesce(drops.drop_known_from, {{ far_future() }}) end
{%- endset -%}
with drops as (
    select {{ entity }}year_and_month, min(knowledge_ts) as drop_known_from
    from {{ captured }}
    where is_drop
    group by {{ entity }}year_and_month
    having count(*) > 0  -- all: an estimate of fewer rows, so that a join keeps these in memory and not the others
),

repeated as (
    select {{ key }}
    from {{ captured }}
    group by {{ key }}
    having count(*) > 1
),

distinct_vintages as (
    select captured.*, {{ overridden_from }} as overridden_from
    from {{ captured }}
    inner join repeated on
        {%- for c in spec.key %} {{ 'and ' if not loop.first }}captured.{{ c }} = repeated.{{ c }}{% endfor %}
    left join drops on captured.year_and_month = drops.year_and_month
        {%- for c in spec.entity.split(', ') if c %} and captured.{{ c }} = drops.{{ c }}{% endfor %}
    qualify row_number() over (
        partition by {% for c in spec.key %}captured.{{ c }}, {% endfor %}captured.is_drop, captured.knowledge_ts
        order by
            captured.vintage_no desc nulls last,
            captured.ingest_ts desc nulls last,
            captured.payload_sha256 asc nulls last
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
            overridden_from
        ) as known_to
    from distinct_vintages
),

numbered as (
    select *, row_number() over (partition by {{ key }} order by knowledge_ts asc nulls last) as n
    from intervals
    where knowledge_ts < known_to
    union all
    select captured.*, {{ overridden_from }} as overridden_from, {{ overridden_from }} as known_to, 1 as n
    from {{ captured }}
    left join repeated on
        {%- for c in spec.key %} {{ 'and ' if not loop.first }}captured.{{ c }} = repeated.{{ c }}{% endfor %}
    left join drops on captured.year_and_month = drops.year_and_month
        {%- for c in spec.entity.split(', ') if c %} and captured.{{ c }} = drops.{{ c }}{% endfor %}
    where repeated.{{ spec.key[0] }} is null and captured.knowledge_ts < {{ overridden_from }}
)

select
    {{ spec.columns | join(',\n    ') }},
    knowledge_ts as known_from,
    known_to,
    cast(n as integer) as vintage_no,
    coalesce(is_suspect, false) as is_suspect,
    source,
    knowledge_basis,
    licence_class
from numbered
{%- endmacro %}

{# What was known at each decision time, newest observation first.

   spine: relation with as_of_date, as_of_ts and the columns of `by`; obs: vintages; period: their date column;
   max_age_days: how many days before as_of_date an observation may lie (an SQL expression over the spine, alias `s`);
   by: columns of spine and obs that identify the series; columns: further columns of obs; condition: SQL over obs;
   keep: further columns of the spine. recency is 1 for the newest observation of a series at a decision time.
   The limit keeps the join linear: a spine row is joined to its `max_age_days` dates by equality, not to all history. #}
{% macro known_at(spine, obs, period, max_age_days, by=[], columns=[], condition='true', keep=[]) -%}
select
    {% for c in keep + by %}candidates.{{ c }},{% endfor %}
    candidates.as_of_date,
    candidates.as_of_ts,
    obs.{{ period }},
    {% for c in columns %}obs.{{ c }},{% endfor %}
    obs.known_from,
    obs.knowledge_basis,
    obs.licence_class,
    row_number() over (
        partition by {% for c in keep + by %}candidates.{{ c }}, {% endfor %}candidates.as_of_date
        order by obs.{{ period }} desc nulls last
    ) as recency
from (
    select spine.*, {{ days_before('spine.as_of_date', 'spine.days_back') }} as candidate_date
    from (select s.*, {{ numbers_to(max_age_days) }} as days_back from {{ spine }} as s) as spine
) as candidates
inner join {{ obs }} as obs
    on {% for c in by %}candidates.{{ c }} = obs.{{ c }} and {% endfor %}candidates.candidate_date = obs.{{ period }}
where obs.known_from <= candidates.as_of_ts and candidates.as_of_ts < obs.known_to and {{ condition }}
{%- endmacro %}

{# The rows of a reference table that are valid from each day on which one of them begins: of each series (`by`) the one
   with the latest valid_from up to the day; a metal's own row takes precedence over the row for all. #}
{% macro valid_rows(table, by, columns) -%}
select
    changes.metal,
    changes.valid_from,
    {% for c in by + columns %}reference_rows.{{ c }}{% if not loop.last %},{% endif %}{% endfor %}
from (
    select distinct metals.metal, beginning.valid_from
    from {{ reference('metals') }} as metals
    inner join {{ reference(table) }} as beginning on beginning.metal in (metals.metal, '*')
) as changes
inner join {{ reference(table) }} as reference_rows
    on reference_rows.metal in (changes.metal, '*') and reference_rows.valid_from <= changes.valid_from
qualify row_number() over (
    partition by changes.metal, changes.valid_from{% for c in by %}, reference_rows.{{ c }}{% endfor %}
    order by case when reference_rows.metal = '*' then 1 else 0 end asc nulls last, reference_rows.valid_from desc nulls last
) = 1
{%- endmacro %}

{# Rows that begin on a day (valid_from), each repeated on the days until the next one of its metal begins.

   The days begin with the one on which a metal is followed and end two days after the run's time, because day-ahead power
   is known before its day. #}
{% macro each_day(rows, columns) -%}
select
    days.metal,
    days.calendar_date,
    {% for c in columns %}valid.{{ c }}{% if not loop.last %},
    {% endif %}{% endfor %}
from (
    select metals.metal, calendar.calendar_date
    from {{ reference('metals') }} as metals
    inner join {{ reference('trading_calendar') }} as calendar
        on
            metals.valid_from <= calendar.calendar_date
            and calendar.calendar_date <= {{ days_before('cast(' ~ as_of() ~ ' as date)', -2) }}
) as days
inner join (
    select
        *,
        coalesce(
            lead(valid_from) over (partition by metal order by valid_from asc nulls last), cast('9999-12-31' as date)
        ) as valid_to
    from {{ rows }}
) as valid
    on
        days.metal = valid.metal
        and days.calendar_date >= valid.valid_from
        and days.calendar_date < valid.valid_to
{%- endmacro %}
