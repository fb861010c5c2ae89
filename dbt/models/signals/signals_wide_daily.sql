-- One row a day and metal, one column a metric: the latest revision of each signal, for charts and spreadsheets.
with latest_revisions as (
    select *
    from {{ ref('signals') }}
    qualify row_number() over (
        partition by signal_id, metal, region, as_of_ts
        order by {{ version_order('signal_version') }} desc nulls last, revision_no desc nulls last
    ) = 1
)

select
    metal,
    as_of_date,
    as_of_ts,
    {% for name, signal, part in wide_columns() -%}
    max({{ part }}) filter (where signal_id = metal || '.{{ signal }}') as {{ name }},
    {% endfor -%}
    max(knowledge_ts_max) as knowledge_ts_max,
    {{ worst_licence_of_group() }} as licence_class
from latest_revisions
group by metal, as_of_date, as_of_ts
