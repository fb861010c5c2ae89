{# Metrics of visible and off-warrant stock, from the latest release known: one row for each metal, decision day and
   metric. #}
{% macro metrics_visible() -%}
{% set known = {
    'obs_end': 'period_end', 'known': 'known_from', 'basis': 'knowledge_basis', 'licence': 'licence_class',
} %}
{% set known_all = dict(known, basis='visible_all_basis', licence='visible_all_licence') %}
with visible as (
    select
        visible.*,
        p.visible_low_age_days,
        p.offwarrant_drain,
        -- Where no month was as low, the age of the first month is a lower bound.
        {{ days_between('visible.period_end', 'coalesce(visible.lowest_since, visible.first_period_end)') }} as low_age,
        {{ days_between(
            'visible.period_end', 'coalesce(visible.visible_all_lowest_since, visible.visible_all_first_period_end)'
        ) }} as visible_all_low_age
    from ({{ visible_asof() }}) as visible
    inner join {{ ref('int_parameters') }} as p on visible.metal = p.metal and visible.as_of_date = p.calendar_date
)

{{ metric_rows('visible', [
    dict(known, metric='visible_t', value='visible_t'),
    dict(known, metric='visible_low', value='visible_t', window_start='coalesce(lowest_since, first_period_end)',
        state=low_state('lowest_since', 'low_age')),
    dict(known_all, metric='visible_all_t', value='visible_all_t'),
    dict(known_all, metric='visible_all_low', value='visible_all_t',
        window_start='coalesce(visible_all_lowest_since, visible_all_first_period_end)',
        state=low_state('visible_all_lowest_since', 'visible_all_low_age')),
    dict(known, metric='visible_low_age', value='case when lowest_since is not null then low_age end',
        window_start='lowest_since'),
    dict(known, metric='offwarrant_yoy', value='offwarrant_yoy', window_start='base_period_end'),
    dict(known, metric='offwarrant_drain', value='offwarrant_yoy', window_start='base_period_end',
        state="case when offwarrant_yoy <= offwarrant_drain then 'ON' when offwarrant_yoy is not null then 'OFF' end"),
]) }}
{%- endmacro %}

{# State of a low watch: lowest_since, the last month as low, is missing where there is none; low_age: its age in days. #}
{% macro low_state(lowest_since, low_age) -%}
case
    when {{ lowest_since }} is null and {{ low_age }} >= visible_low_age_days then 'RECORD'
    when {{ lowest_since }} is not null and {{ low_age }} >= visible_low_age_days then 'MULTI_YEAR_LOW'
    when {{ lowest_since }} is not null then 'OFF'
end
{%- endmacro %}
