-- What signals say of visible and off-warrant stock, as last released at each decision time.
{% set known = {
    'obs_end': 'period_end', 'known': 'known_from', 'basis': 'knowledge_basis', 'licence': 'licence_class',
} %}
with visible as (
    select
        dates.metal,
        dates.as_of_date,
        visible.period_end,
        visible.visible_t,
        visible.offwarrant_yoy,
        visible.base_period_end,
        visible.lowest_since,
        visible.first_period_end,
        visible.known_from,
        visible.knowledge_basis,
        visible.licence_class,
        p.visible_low_age_days,
        p.offwarrant_drain,
        -- Where no month was as low, the history says for how long at least.
        {{ days_between('visible.period_end', 'coalesce(visible.lowest_since, visible.first_period_end)') }} as low_age
    from {{ ref('int_as_of_dates') }} as dates
    inner join {{ ref('int_parameters') }} as p on dates.metal = p.metal and dates.as_of_date = p.calendar_date
    inner join {{ ref('int_visible_latest') }} as visible
        on
            dates.metal = visible.metal
            and dates.as_of_ts >= visible.known_from
            and dates.as_of_ts < visible.known_to
)

{{ metric_rows('visible', [
    dict(known, metric='visible_t', value='visible_t'),
    dict(known, metric='visible_low', value='visible_t', window_start='coalesce(lowest_since, first_period_end)',
        state="case
            when lowest_since is null and low_age >= visible_low_age_days then 'RECORD'
            when lowest_since is not null and low_age >= visible_low_age_days then 'MULTI_YEAR_LOW'
            when lowest_since is not null then 'OFF' end"),
    dict(known, metric='visible_low_age', value='case when lowest_since is not null then low_age end'),
    dict(known, metric='offwarrant_yoy', value='offwarrant_yoy', window_start='base_period_end'),
    dict(known, metric='offwarrant_drain', value='offwarrant_yoy', window_start='base_period_end',
        state="case when offwarrant_yoy <= offwarrant_drain then 'ON' when offwarrant_yoy is not null then 'OFF' end"),
]) }}
