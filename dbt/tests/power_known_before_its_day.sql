{{ config(severity='warn') }}
select *
from {{ ref('power_daily') }}
where knowledge_basis <> 'OBSERVED' and cast(knowledge_ts as date) >= delivery_date
