-- Families, coverage, contributions and the index. Weights are renormalised over the families that are there; with too
-- little weight there is no index.
with families as (
    select
        metal,
        as_of_date,
        family,
        max(weight) as weight,
        {{ ordered_mean('score', 'indicator') }} as family_score,
        count(score) as n_scores
    from {{ ref('int_component_scores') }}
    group by metal, as_of_date, family
),

sums as (
    select
        metal,
        as_of_date,
        -- Rounded, so that 0.4 + 0.2 is the 0.6 that the limit means.
        round(sum(case when family_score is not null then weight else 0 end), 9) as coverage,
        {{ ordered_sum('weight * family_score', 'family') }} as weighted_score,
        sum(n_scores) as n_components,
        {% for family in ['curve', 'inventory', 'flow'] -%}
        max(family_score) filter (where family = '{{ family | upper }}') as family_{{ family }},
        max(weight * family_score) filter (where family = '{{ family | upper }}') as weighted_{{ family }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from families
    group by metal, as_of_date
)

select
    sums.metal,
    sums.as_of_date,
    sums.family_curve,
    sums.family_inventory,
    sums.family_flow,
    {% for family in ['curve', 'inventory', 'flow'] -%}
    case when sums.coverage >= p.min_coverage then 100 * sums.weighted_{{ family }} / sums.coverage end
        as contrib_{{ family }},
    {% endfor -%}
    sums.coverage,
    cast(sums.n_components as integer) as n_components,
    case when sums.coverage >= p.min_coverage then 100 * sums.weighted_score / sums.coverage end as tightness_index
from sums
inner join {{ ref('int_parameters') }} as p
    on sums.metal = p.metal and sums.as_of_date = p.calendar_date
