{{ config(materialized='by_decision_time') }}
{# In the folds a regime is its place in this list. #}
{% set regimes = ['LOOSE', 'NEUTRAL', 'TIGHT', 'SQUEEZE', 'UNKNOWN'] %}
{# The regime that the state of a fold is in on a day: without backwardation a squeeze of version 2 is none. #}
{% set held = 'case when a.state = 4 and not d.may_squeeze then 3 else a.state end' %}
{% set target -%}
case a.state
    when 1 then d.after_loose when 3 then d.after_tight when 4 then d.after_squeeze else d.after_neutral
end
{%- endset %}
{# Consecutive observations, this one included, that met the same regime other than the state. #}
{% set met -%}
case when ({{ target }}) = ({{ held }}) then 0 when ({{ target }}) = a.pending then a.n_pending + 1 else 1 end
{%- endset %}
{% set next_state -%}
case
    when d.n_gap > d.max_gap then 5
    when d.n_gap > 0 then {{ held }}
    when a.state = 5 or {{ met }} >= d.confirm then {{ target }}
    else {{ held }}
end
{%- endset %}
{% set next_pending -%}
case
    when d.n_gap > d.max_gap then 5
    when d.n_gap > 0 then a.pending
    when a.state = 5 or {{ met }} = 0 or {{ met }} >= d.confirm then 5
    else {{ target }}
end
{%- endset %}
{% set next_n_pending -%}
case
    when d.n_gap > d.max_gap then 0
    when d.n_gap > 0 then a.n_pending
    when a.state = 5 or {{ met }} >= d.confirm then 0
    else {{ met }}
end
{%- endset %}
{# The smoothed index after a value; after a long gap the next value begins again. #}
{% set next_smoothed -%}
case
    when d.n_gap > 0 then case when d.n_gap <= d.max_gap then a.smoothed end
    when a.smoothed is null then d.x
    else d.x + d.kept_part * (a.smoothed - d.x)
end
{%- endset %}
{# The folds begin as on the first day ever, or with the last kept row. #}
{% set initial = {
    'state': '5', 'pending': '5', 'n_pending': '0', 'n_gap': '0', 'is_started': 'false',
    'smoothed': 'cast(null as double)',
} %}
with begun as (
    select
        days.metal,
        days.version,
        {% for name, value in initial.items() -%}
        {{ 'coalesce(kept.' ~ name ~ ', ' ~ value ~ ')' if is_partial() else value }} as {{ name }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from (select distinct metal, version from {{ built_rows(ref('int_index_daily')) }} as built) as days
    {% if is_partial() -%}
    left join (
        select
            metal, version, n_pending, n_gap, regime_status <> 'WARMUP' as is_started, smoothed,
            {% for name, column in [('state', 'regime'), ('pending', 'pending')] -%}
            case {{ column }}
                {%- for regime in regimes %}
                when '{{ regime }}' then {{ loop.index }}
                {%- endfor %}
            end as {{ name }}{% if not loop.last %},{% endif %}
            {% endfor %}
        from {{ kept_rows(this, ['metal', 'version'], 1) }} as last_row
    ) as kept on days.metal = kept.metal and days.version = kept.version
    {%- endif %}
),

numbered as (
    select
        metal,
        version,
        as_of_date,
        tightness_index,
        row_number() over so_far as n,
        count(tightness_index) over so_far as n_values
    from {{ built_rows(ref('int_index_daily')) }} as built
    window so_far as (partition by metal, version order by as_of_date asc nulls last)
),

days as (
    select
        numbered.metal,
        numbered.version,
        numbered.as_of_date,
        numbered.n,
        numbered.tightness_index,
        cast(numbered.n - coalesce(
            max(case when numbered.tightness_index is not null then numbered.n end) over (
                partition by numbered.metal, numbered.version order by numbered.n asc nulls last
            ), -begun.n_gap
        ) as integer) as n_gap,
        begun.is_started or numbered.n_values > 0 as is_started,
        numbered.version = 1 or coalesce(inputs.spread_median_usd_t > 0, false) as may_squeeze,
        case when numbered.version > 1 then power(0.5, 1 / p.regime_half_life_v2) end as kept_part,
        {{ of_version('regime_confirm', 'numbered.version') }} as confirm,
        p.regime_max_gap as max_gap,
        p.enter_tight,
        p.exit_tight,
        p.enter_squeeze,
        p.exit_squeeze,
        p.enter_loose,
        p.exit_loose
    from numbered
    inner join begun on numbered.metal = begun.metal and numbered.version = begun.version
    inner join {{ ref('int_parameters') }} as p
        on numbered.metal = p.metal and numbered.as_of_date = p.calendar_date
    left join {{ built_rows(ref('int_index_inputs')) }} as inputs
        on numbered.metal = inputs.metal and numbered.as_of_date = inputs.as_of_date
),

smoothed as (
    {% set item = {'x': 'tightness_index', 'n_gap': 'n_gap', 'max_gap': 'max_gap', 'kept_part': 'kept_part'} %}
    select metal, version, n, state.smoothed as smoothed
    from {{ folded('days', 'begun', item, {'smoothed': next_smoothed}, {'smoothed': 'double'}) }} as states
),

followed as (
    select
        days.*,
        case when days.version > 1 then smoothed.smoothed end as smoothed,
        case
            when days.version = 1 then days.tightness_index
            when days.tightness_index is not null then smoothed.smoothed
        end as x
    from days
    left join smoothed
        on days.metal = smoothed.metal and days.version = smoothed.version and days.n = smoothed.n
),

regimes as (
    {% set item = {
        'n_gap': 'n_gap', 'max_gap': 'max_gap', 'confirm': 'confirm', 'may_squeeze': 'may_squeeze',
        'after_loose': regime_after('LOOSE'), 'after_neutral': regime_after('NEUTRAL'),
        'after_tight': regime_after('TIGHT'), 'after_squeeze': regime_after('SQUEEZE'),
    } %}
    select metal, version, n, state.state as state, state.pending as pending, state.n_pending as n_pending
    from {{ folded(
        'followed', 'begun', item, {'state': next_state, 'pending': next_pending, 'n_pending': next_n_pending},
        {'state': 'integer', 'pending': 'integer', 'n_pending': 'integer'},
    ) }} as states
)

select
    days.metal,
    days.version,
    days.as_of_date,
    {% for name, column in [('regime', 'state'), ('pending', 'pending')] -%}
    case regimes.{{ column }}
        {%- for regime in regimes %}
        when {{ loop.index }} then '{{ regime }}'
        {%- endfor %}
    end as {{ name }},
    {% endfor -%}
    regimes.n_pending,
    case
        when days.n_gap = 0 then 'OK'
        when not days.is_started then 'WARMUP'
        when days.n_gap > days.max_gap then 'UNKNOWN'
        else 'STALE'
    end as regime_status,
    days.n_gap,
    days.smoothed
from followed as days
inner join regimes on days.metal = regimes.metal and days.version = regimes.version and days.n = regimes.n
