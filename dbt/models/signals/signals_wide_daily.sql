{{ config(materialized='by_decision_time') }}
-- One row a day and metal, one column a metric, for charts and spreadsheets: the signals as in their latest revision,
-- which is what this build has computed.
select
    metal,
    as_of_date,
    as_of_ts,
    {% for name, signal, part, metric in wide_columns() -%}
    max({{ part }}) filter (
        where signal = '{{ signal }}'{% if metric %} and metric_id = '{{ metric }}'{% endif %}
    ) as {{ name }},
    {% endfor -%}
    max(knowledge_ts_max) as knowledge_ts_max,
    {{ worst_licence_of_group() }} as licence_class
from (
    select *, substr(signal_id, length(metal) + 2) as signal
    from {{ built_rows(ref('signal_candidates')) }}
) as signals
group by metal, as_of_date, as_of_ts
