{{ config(materialized='by_decision_time') }}
-- One row a day and metal, one column a metric: the latest revision of each signal, for charts and spreadsheets.
with latest_revisions as (
    select signals.*
    from {{ built_rows(ref('signals')) }} as signals
    inner join {{ built_rows(ref('signal_candidates')) }} as candidates
        on
            signals.signal_id = candidates.signal_id
            and signals.signal_version = candidates.signal_version
            and signals.metal = candidates.metal
            and signals.region = candidates.region
            and signals.as_of_ts = candidates.as_of_ts
    qualify row_number() over (
        partition by signals.signal_id, signals.metal, signals.region, signals.as_of_ts
        order by signals.revision_no desc nulls last
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
