select
    metal,
    as_of_date,
    -- The same in every row of a day.
    max(coverage) as coverage,
    cast(sum(n_scores) as integer) as n_components,
    -- Families contribute only where there is enough coverage.
    case when count(contribution) > 0 then
        100 * {{ ordered_sum('weight * family_score', 'family') }} / max(coverage)
    end as tightness_index
from {{ ref('int_index_families') }}
group by metal, as_of_date
