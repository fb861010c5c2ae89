-- A day-ahead price known on its day or later speaks of another market, unless it was only captured late.
{{ config(severity='warn') }}
select *
from {{ ref('power_daily') }}
where knowledge_basis <> 'OBSERVED' and cast(knowledge_ts as date) >= delivery_date
