{# Metrics of positions, from the latest week known: one row for each metal, decision day, metric and contract. #}
{% macro metrics_positions() -%}
{% set known = {
    'entity': 'contract', 'obs_end': 'obs_date', 'known': 'known_from', 'basis': 'knowledge_basis',
    'licence': 'licence_class',
} %}
with spine as (
    select dates.*, contracts.contract
    from {{ ref('int_as_of_dates') }} as dates
    inner join (select distinct metal, contract from {{ ref('int_positions_known') }}) as contracts
        on dates.metal = contracts.metal
),

positions as (
    select * from (
        {{ known_at(
            'spine', ref('int_positions_known'), 'obs_date', 45, by=['metal', 'contract'],
            columns=['managed_net', 'net_share', 'net_percentile', 'n_ranked'],
        ) }}
    ) as known
    where recency = 1
)

{{ metric_rows('positions', [
    dict(known, metric='managed_net', value='managed_net'),
    dict(known, metric='managed_net_percentile', value='net_percentile', n_hist='n_ranked'),
]) }}
{%- endmacro %}
