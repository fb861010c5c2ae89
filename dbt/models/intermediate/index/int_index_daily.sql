{{ config(materialized='by_decision_time') }}
with configured as (
    select metal, as_of_date, version, count(*) as n_configured
    from {{ ref('int_components') }}
    group by metal, as_of_date, version
)

select
    families.metal,
    families.as_of_date,
    families.version,
    -- The same in every row of a day.
    max(families.coverage) as coverage,
    cast(sum(families.n_scores) as integer) as n_components,
    -- Families contribute only where there is enough coverage.
    case when count(families.contribution) > 0 then
        100 * {{ ordered_sum('families.weight * families.family_score', 'families.family') }} / max(families.coverage)
    end as tightness_index,
    {% for name in component_facts() -%}
    {{ any_of_group('families.' ~ name) }} as {{ name }},
    {% endfor -%}
    sum(families.n_scores) < max(configured.n_configured) as is_partial
from {{ built_rows(ref('int_index_families')) }} as families
inner join configured
    on
        families.metal = configured.metal
        and families.as_of_date = configured.as_of_date
        and families.version = configured.version
group by families.metal, families.as_of_date, families.version
