-- Every daily metric that a signal may publish, one row a day and metric, with what it rests on.
-- metric, its value, its state, its score, age in days, when it was known: one line each.
{% set metrics = [
    ('m3_yoy', 'states.m3_yoy', none, none, 'states.m3_obs_date', 'states'),
    ('level_state_5of5', none, 'states.level_state_5of5', none, 'states.m3_obs_date', 'states'),
    ('level_state_3of5', none, 'states.level_state_3of5', none, 'states.m3_obs_date', 'states'),
    ('backwardation_sustained', none, "case when states.backwardation_sustained then 'ON'
        when not states.backwardation_sustained then 'OFF' end", none, 'states.m3_obs_date', 'states'),
    ('cash_3m_spread_usd_t', 'curve.cash_3m_spread_usd_t', none, none, 'curve.price_obs_date', 'curve'),
    ('carry_tightness', 'curve.carry_tightness', none, 'tightness.score_carry_tightness',
        'curve.price_obs_date', 'curve'),
    ('cancelled_ratio', 'inventory.cancelled_ratio', none, 'tightness.score_cancelled_ratio',
        'inventory.cancelled_obs_date', 'inventory'),
    ('stock_days', 'inventory.stock_days', none, 'tightness.score_stock_days',
        'inventory.stock_obs_date', 'inventory'),
    ('stock_log_chg', 'inventory.stock_log_chg', none, 'tightness.score_stock_log_chg',
        'inventory.stock_obs_date', 'inventory'),
    ('visible_t', 'visible.visible_t', none, none, 'visible.period_end', 'visible'),
    ('offwarrant_yoy', 'visible.offwarrant_yoy', none, none, 'visible.period_end', 'visible'),
    ('exports_yoy_3m', 'exports.exports_yoy_3m', none, 'tightness.score_exports_yoy_3m',
        'exports.period_end', 'exports'),
    ('tightness_index', 'tightness.tightness_index', none, none, 'tightness.as_of_date', 'tightness'),
    ('regime', none, "case when tightness.regime <> 'UNKNOWN' then tightness.regime end", none,
        'tightness.as_of_date', 'tightness'),
] %}
{% set known = {'curve': 'knowledge_ts_max', 'inventory': 'knowledge_ts_max', 'tightness': 'knowledge_ts_max'} %}
with joined as (
    select
        tightness.metal,
        tightness.as_of_date,
        tightness.as_of_ts,
        tightness.coverage as index_coverage,
        tightness.n_components as index_components,
        tightness.regime_status,
        p.params_hash,
        {% for metric, value, state, score, obs_end, part in metrics -%}
        {{ value or 'cast(null as double)' }} as {{ metric }}__value,
        {{ state or 'cast(null as varchar)' }} as {{ metric }}__state,
        {{ score or 'cast(null as double)' }} as {{ metric }}__score,
        {{ obs_end }} as {{ metric }}__obs_end,
        {{ part }}.{{ known.get(part, 'known_from') }} as {{ metric }}__known,
        {{ part }}.knowledge_basis as {{ metric }}__basis,
        {{ part }}.licence_class as {{ metric }}__licence
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from {{ ref('tightness_daily') }} as tightness
    inner join {{ ref('int_parameters') }} as p
        on tightness.metal = p.metal and tightness.as_of_date = p.calendar_date
    inner join {{ ref('curve_daily') }} as curve
        on tightness.metal = curve.metal and tightness.as_of_date = curve.as_of_date
    inner join {{ ref('inventory_daily') }} as inventory
        on tightness.metal = inventory.metal and tightness.as_of_date = inventory.as_of_date
    inner join {{ ref('int_price_states_asof') }} as states
        on tightness.metal = states.metal and tightness.as_of_date = states.as_of_date
    left join {{ ref('int_exports_latest') }} as exports
        on
            tightness.metal = exports.metal
            and tightness.exports_period_end = exports.period_end
            and tightness.as_of_ts >= exports.known_from
            and tightness.as_of_ts < exports.known_to
    left join {{ ref('int_visible_latest') }} as visible
        on
            tightness.metal = visible.metal
            and tightness.as_of_ts >= visible.known_from
            and tightness.as_of_ts < visible.known_to
)

{% for metric, value, state, score, obs_end, part in metrics -%}
select
    metal,
    as_of_date,
    as_of_ts,
    '{{ metric }}' as metric_id,
    {{ metric }}__value as value,
    {{ metric }}__state as state,
    {{ metric }}__score as score,
    {{ metric }}__obs_end as obs_end,
    {{ metric }}__known as knowledge_ts_max,
    {{ metric }}__basis as knowledge_basis,
    {{ metric }}__licence as licence_class,
    {% if part == 'tightness' %}index_coverage{% else %}cast(null as double){% endif %} as coverage,
    {% if part == 'tightness' %}index_components{% else %}1{% endif %} as n_components,
    {% if metric == 'regime' %}regime_status{% else %}cast(null as varchar){% endif %} as regime_status,
    params_hash
from joined
{% if not loop.last %}union all{% endif %}
{% endfor %}
