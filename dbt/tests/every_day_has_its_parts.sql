select days.metal, days.as_of_date
from {{ ref('int_as_of_dates') }} as days
{% for model in ['tightness_daily', 'curve_daily', 'inventory_daily', 'signals_wide_daily'] -%}
left join {{ ref(model) }} as {{ model }}
    on days.metal = {{ model }}.metal and days.as_of_date = {{ model }}.as_of_date
{% endfor -%}
where
    tightness_daily.metal is null
    or curve_daily.metal is null
    or inventory_daily.metal is null
    or signals_wide_daily.metal is null
