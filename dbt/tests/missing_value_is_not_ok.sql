-- A signal without a value says so in its quality, and so does a state signal without a state.
select *
from {{ ref('signals') }}
where quality = 'OK' and (value is null or (kind in ('STATE', 'EVENT') and state is null))
