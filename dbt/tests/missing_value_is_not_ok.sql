select *
from {{ ref('signals') }}
where quality = 'OK' and (value is null or (kind in ('STATE', 'EVENT') and state is null))
