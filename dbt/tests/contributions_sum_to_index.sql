-- The published contributions are the index, to rounding.
select *
from {{ ref('tightness_daily') }}
where
    abs(
        coalesce(contrib_curve, 0) + coalesce(contrib_inventory, 0) + coalesce(contrib_flow, 0) - tightness_index
    ) > 1e-9
