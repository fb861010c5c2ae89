with metric_parameters as (
    {% for metric_id, metric in metric_registry().items() -%}
    {% set outer = loop -%}
    {% for name in metric.parameters or ['-'] -%}
    select '{{ metric_id }}' as metric_id, '{{ name }}' as name
    {% if not (outer.last and loop.last) %}union all{% endif %}
    {% endfor -%}
    {% endfor %}
),

definitions as (
    select
        definitions.signal_id,
        definitions.signal_version,
        definitions.metal,
        definitions.metric_id,
        definitions.valid_from as defined_from,
        lead(definitions.valid_from) over (
            partition by definitions.signal_id, definitions.metric_id order by definitions.valid_from asc nulls last
        ) as defined_to
    from {{ reference('signal_definitions') }} as definitions
),

-- Weights, signs and age limits of the index as one parameter, and one parameter for each score.
parameter_values as (
    select name, metal, valid_from, {{ number_text('value') }} as value, unit, status
    from {{ reference('parameters') }}
    union all
    select
        'index_components' || case when version = 1 then '' else '_v' || cast(version as {{ type_text() }}) end as name,
        metal,
        valid_from,
        {{ joined(
            "concat_ws(' ', indicator, region, cast(sign as " ~ type_text() ~ "), " ~ number_text('weight') ~ ", "
            ~ "cast(max_age_days as " ~ type_text() ~ "))", ', ', 'indicator'
        ) }} as value,
        'indicator region sign weight max_age_days' as unit,
        max(status) as status
    from {{ reference('index_components') }}
    group by metal, version, valid_from
    union all
    -- A score depends on the sign and age limit of its own component, not on the weights.
    select
        'component_' || indicator as name,
        metal,
        valid_from,
        concat_ws(' ', region, cast(sign as {{ type_text() }}), cast(max_age_days as {{ type_text() }})) as value,
        'region sign max_age_days' as unit,
        status
    from {{ reference('index_components') }}
    where version = 1
),

change_days as (
    select distinct valid_from from parameter_values
    union
    select distinct defined_from from definitions
),

valid_values as (
    select
        definitions.signal_id,
        definitions.signal_version,
        definitions.metric_id,
        definitions.defined_from,
        change_days.valid_from,
        metric_parameters.name,
        parameter_values.value,
        parameter_values.unit,
        parameter_values.status
    from definitions
    inner join change_days
        on
            definitions.defined_from <= change_days.valid_from
            and change_days.valid_from < coalesce(definitions.defined_to, cast('9999-12-31' as date))
    inner join metric_parameters on definitions.metric_id = metric_parameters.metric_id
    left join parameter_values
        on
            metric_parameters.name = parameter_values.name
            and parameter_values.metal in (definitions.metal, '*')
            and change_days.valid_from >= parameter_values.valid_from
    qualify row_number() over (
        partition by
            definitions.signal_id, definitions.metric_id, definitions.defined_from, change_days.valid_from,
            metric_parameters.name
        order by
            case when parameter_values.metal = '*' then 1 else 0 end asc nulls last,
            parameter_values.valid_from desc nulls last
    ) = 1
)

select
    signal_id,
    signal_version,
    metric_id,
    defined_from,
    valid_from,
    lead(valid_from) over (partition by signal_id, metric_id order by valid_from asc nulls last) as valid_to,
    md5(concat(signal_version, coalesce(
        {{ joined("name || '=' || value", ';', 'name') }}, ''
    ))) as params_hash,
    {{ joined("name || ' = ' || value || ' ' || unit || ' (' || status || ')'", '; ', 'name') }} as parameters
from valid_values
group by signal_id, signal_version, metric_id, defined_from, valid_from
