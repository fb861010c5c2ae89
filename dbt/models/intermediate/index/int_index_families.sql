{{ config(materialized='by_decision_time') }}
with families as (
    select
        metal,
        as_of_date,
        version,
        family,
        max(weight) as weight,
        {{ ordered_mean('score', 'indicator') }} as family_score,
        count(score) as n_scores{% for name, fact in component_facts().items() %},
        -- Of the components that count.
        {{ any_of_group('score is not null and ' ~ fact) }} as {{ name }}
        {%- endfor %}
    from {{ built_rows(ref('int_component_scores')) }}
    group by metal, as_of_date, version, family
),

covered as (
    select
        *,
        -- Rounded, so that 0.4 + 0.2 is not below a limit of 0.6.
        round(sum(case when family_score is not null then weight else 0 end)
            over (partition by metal, as_of_date, version), 9) as coverage
    from families
)

select
    covered.*,
    case when covered.coverage >= {{ of_version('min_coverage', 'covered.version') }} then
        100 * (covered.weight * covered.family_score) / covered.coverage
    end as contribution
from covered
inner join {{ ref('int_parameters') }} as p
    on covered.metal = p.metal and covered.as_of_date = p.calendar_date
