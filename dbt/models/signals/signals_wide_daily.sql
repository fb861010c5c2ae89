{{ config(materialized='by_decision_time') }}
-- One row a day and metal, one column a metric, for charts and spreadsheets: the signals as in their latest revision,
-- which is what this build has computed.
select
    metal,
    as_of_date,
    as_of_ts,
    {% for name, signal, part in wide_columns() -%}
    max({{ part }}) filter (where signal_id = metal || '.{{ signal }}') as {{ name }},
    {% endfor -%}
    max(knowledge_ts_max) as knowledge_ts_max,
    {{ worst_licence_of_group() }} as licence_class
from {{ built_rows(ref('signal_candidates')) }}
group by metal, as_of_date, as_of_ts
