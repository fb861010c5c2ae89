{{ config(materialized='by_decision_time') }}
{% set target -%}
case
    when a.state = 'SQUEEZE' and d.x >= d.exit_squeeze then 'SQUEEZE'
    when d.x >= d.enter_squeeze then 'SQUEEZE'
    when a.state in ('SQUEEZE', 'TIGHT') and d.x >= d.exit_tight then 'TIGHT'
    when d.x >= d.enter_tight then 'TIGHT'
    when a.state = 'LOOSE' and d.x <= d.exit_loose then 'LOOSE'
    when d.x <= d.enter_loose then 'LOOSE'
    else 'NEUTRAL'
end
{%- endset %}
{# Consecutive observations, this one included, that met the same regime other than the state. #}
{% set met -%}
case when ({{ target }}) = a.state then 0 when ({{ target }}) = a.pending then a.n_pending + 1 else 1 end
{%- endset %}
{% set next_state -%}
case
    when d.x is null then case when a.n_gap + 1 > d.max_gap then 'UNKNOWN' else a.state end
    when a.state = 'UNKNOWN' then {{ target }}
    when {{ met }} >= d.confirm then {{ target }}
    else a.state
end
{%- endset %}
{% set next_pending -%}
case
    when d.x is null then case when a.n_gap + 1 > d.max_gap then 'UNKNOWN' else a.pending end
    when a.state = 'UNKNOWN' or {{ met }} = 0 or {{ met }} >= d.confirm then 'UNKNOWN'
    else {{ target }}
end
{%- endset %}
{% set next_n_pending -%}
case
    when d.x is null then case when a.n_gap + 1 > d.max_gap then 0 else a.n_pending end
    when a.state = 'UNKNOWN' or {{ met }} >= d.confirm then 0
    else {{ met }}
end
{%- endset %}
{% set status -%}
case
    when d.x is not null then 'OK'
    when not a.is_started then 'WARMUP'
    when a.n_gap + 1 > d.max_gap then 'UNKNOWN'
    else 'STALE'
end
{%- endset %}
{% set next_n_gap = 'case when d.x is null then a.n_gap + 1 else 0 end' %}
{% set history = empty_list({
    'as_of_date': 'date', 'regime': type_text(), 'regime_status': type_text(), 'pending': type_text(),
    'n_pending': 'integer', 'n_gap': 'integer',
}) %}
{# The fold begins as on the first day ever, or with the last kept row. #}
{% set initial = {
    'state': "'UNKNOWN'", 'pending': "'UNKNOWN'", 'n_pending': '0', 'n_gap': '0', 'is_started': 'false',
} %}
{% if is_partial() -%}
{% for name, value in initial.items() -%}
{% do initial.update({name: 'coalesce(kept.' ~ name ~ ', ' ~ value ~ ')'}) %}
{%- endfor %}
{%- endif %}
with days as (
    select
        index_daily.metal,
        index_daily.version,
        {{ ordered_list(
            struct({
                'as_of_date': 'index_daily.as_of_date', 'x': 'index_daily.tightness_index',
                'enter_tight': 'p.enter_tight', 'exit_tight': 'p.exit_tight',
                'enter_squeeze': 'p.enter_squeeze', 'exit_squeeze': 'p.exit_squeeze',
                'enter_loose': 'p.enter_loose', 'exit_loose': 'p.exit_loose',
                'confirm': 'p.regime_confirm', 'max_gap': 'p.regime_max_gap',
            }),
            'index_daily.as_of_date'
        ) }} as items
    from {{ ref('int_index_daily') }} as index_daily
    inner join {{ ref('int_parameters') }} as p
        on index_daily.metal = p.metal and index_daily.as_of_date = p.calendar_date
    group by index_daily.metal, index_daily.version
),

folded as (
    select
        days.metal,
        days.version,
        {{ fold(
            'items',
            struct(dict(initial, history=history)),
            'a', 'd',
            struct({
                'state': next_state, 'pending': next_pending, 'n_pending': next_n_pending,
                'n_gap': next_n_gap,
                'is_started': 'a.is_started or d.x is not null',
                'history': appended('a.history', struct({
                    'as_of_date': 'd.as_of_date', 'regime': next_state, 'regime_status': status,
                    'pending': next_pending, 'n_pending': next_n_pending, 'n_gap': next_n_gap,
                }))
            })
        ) }} as result
    from days
    {% if is_partial() -%}
    left join (
        select metal, version, regime as state, pending, n_pending, n_gap, regime_status <> 'WARMUP' as is_started
        from {{ kept_rows(this, ['metal', 'version'], 1) }} as last_row
    ) as kept on days.metal = kept.metal and days.version = kept.version
    {%- endif %}
)

select
    metal, version, entry.as_of_date, entry.regime, entry.regime_status, entry.pending, entry.n_pending, entry.n_gap
from (
    select metal, version, {{ unnested('result.history') }} as entry
    from folded
) as entries
