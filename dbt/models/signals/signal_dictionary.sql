-- Formula, states and parameters of each published signal, by version.
with formulas as (
    {% for metric_id, metric in metric_registry().items() -%}
    select
        '{{ metric_id }}' as metric_id,
        '{{ metric.formula | replace("'", "''") }}' as formula,
        '{{ metric.states | join(' ') }}' as states
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
)

select
    definitions.signal_id,
    definitions.signal_version,
    definitions.valid_from,
    definitions.metal,
    definitions.region,
    definitions.kind,
    definitions.metric_id,
    definitions.entity,
    definitions.unit,
    cast(definitions.sign as integer) as sign,
    definitions.description,
    formulas.formula,
    formulas.states,
    definitions.tight_states,
    definitions.loose_states,
    cast(definitions.max_age_days as integer) as max_age_days,
    parameters.parameters,
    parameters.params_hash,
    definitions.status,
    definitions.source
from {{ reference('signal_definitions') }} as definitions
inner join formulas on definitions.metric_id = formulas.metric_id
-- The parameters valid now, or the last valid ones of a version that has ended.
inner join {{ ref('int_signal_parameters') }} as parameters
    on
        definitions.signal_id = parameters.signal_id
        and definitions.signal_version = parameters.signal_version
        and definitions.valid_from = parameters.defined_from
where parameters.valid_from <= cast({{ as_of() }} as date)
qualify row_number() over (
    partition by definitions.signal_id, definitions.signal_version, definitions.valid_from
    order by parameters.valid_from desc nulls last
) = 1
