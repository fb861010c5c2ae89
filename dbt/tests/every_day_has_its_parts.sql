-- The daily marts speak of the same days, and every day has its signals.
select days.metal, days.as_of_date
from {{ ref('tightness_daily') }} as days
left join {{ ref('curve_daily') }} as curve
    on days.metal = curve.metal and days.as_of_date = curve.as_of_date
left join {{ ref('inventory_daily') }} as inventory
    on days.metal = inventory.metal and days.as_of_date = inventory.as_of_date
left join {{ ref('signals_wide_daily') }} as wide
    on days.metal = wide.metal and days.as_of_date = wide.as_of_date
where curve.metal is null or inventory.metal is null or wide.metal is null
