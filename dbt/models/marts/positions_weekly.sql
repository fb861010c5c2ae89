-- Positions of money managers by contract and week as known now, each ranked among the weeks before it.
select
    metal,
    contract,
    obs_date,
    {% for column in ['managed_long', 'managed_short', 'managed_net', 'open_interest'] -%}
    cast({{ column }} as integer) as {{ column }},
    {% endfor -%}
    net_share,
    net_percentile,
    n_ranked as n_hist,
    known_from as knowledge_ts,
    vintage_no,
    source,
    knowledge_basis,
    licence_class
from {{ ref('int_positions_known') }}
where known_to = {{ far_future() }}
