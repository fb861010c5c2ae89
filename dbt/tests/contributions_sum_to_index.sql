-- The published contributions are the index, to rounding.
select *
from {{ ref('tightness_daily') }}
where
    abs(
        {% for family in published_families() %}coalesce(contrib_{{ family }}, 0) + {% endfor %}0 - tightness_index
    ) > 1e-9
