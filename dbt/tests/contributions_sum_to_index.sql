select *
from {{ ref('tightness_daily') }}
where abs(
    0
    {% for family in published_families() -%}
    + coalesce(contrib_{{ family }}, 0)
    {% endfor -%}
    - tightness_index
) > 1e-9
