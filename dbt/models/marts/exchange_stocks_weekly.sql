-- Stock of other exchanges as known now: the last report of each week, against that of the week before.
select
    metal,
    exchange,
    product,
    obs_date,
    total_t,
    on_warrant_t,
    base_obs_date,
    total_chg_t,
    known_from as knowledge_ts,
    vintage_no,
    source,
    knowledge_basis,
    licence_class
from {{ ref('int_exchange_stocks_known') }}
where known_to = {{ far_future() }}
qualify row_number() over (
    partition by metal, exchange, product, {{ first_of_week('obs_date') }} order by obs_date desc nulls last
) = 1
