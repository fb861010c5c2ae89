-- A signal without a value or state says so in its quality.
select *
from {{ ref('signals') }}
where value is null and state is null and quality = 'OK'
