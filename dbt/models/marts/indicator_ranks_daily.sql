{{ config(materialized='by_decision_time') }}
{% set scores = built_rows(ref('int_component_scores')) %}
{% set in_window = [
    'scores.metal, scores.version, scores.indicator, scores.ranked_on', 'scores.as_of_date asc nulls last',
    'p.rank_window'
] %}
-- Each component of the index ranked over several windows, and its robust z. Daily indicators have 252 days a year,
-- monthly ones 12 periods of their own.
with daily as (
    select
        scores.metal,
        scores.version,
        scores.indicator,
        scores.as_of_date,
        {% for years in rank_years() -%}
        {% set in_years = in_window[:2] + [years * rank_days_a_year()] -%}
        case when {{ over_last('count', 'scores.ranked_value', *in_years) }} >= p.rank_min_periods
            then {{ mid_rank('scores.ranked_value', *in_years) }} end as rank_{{ years }}y,
        {% endfor -%}
        case when scores.n_hist >= p.rank_min_periods
            then {{ over_last('median', 'scores.ranked_value', *in_window) }} end as median,
        case when scores.n_hist >= p.rank_min_periods
            then {{ over_last('mad', 'scores.ranked_value', *in_window) }} end as mad
    from {{ ranked_values(window_rows(
        ref('int_component_scores'), ['metal', 'version', 'indicator'],
        'greatest(' ~ longest('rank_window') ~ ', ' ~ rank_years() | max * rank_days_a_year() ~ ')'
    )) }} as scores
    inner join {{ ref('int_parameters') }} as p
        on scores.metal = p.metal and scores.as_of_date = p.calendar_date
    where not scores.is_monthly
    qualify scores.is_ranked_here
),

monthly as (
    select
        scores.metal,
        scores.version,
        scores.indicator,
        scores.as_of_date,
        {% for years in rank_years() -%}
        exports.rank_{{ years }}y,
        {% endfor -%}
        exports.median,
        exports.mad
    from {{ scores }} as scores
    inner join {{ ref('int_exports_asof') }} as exports
        on
            scores.metal = exports.metal
            and scores.as_of_date = exports.as_of_date
            and scores.region = exports.country
    where scores.is_monthly
),

-- What each component contributes to the index, and how this has changed.
contributions as (
    select
        scores.metal,
        scores.version,
        scores.indicator,
        scores.as_of_date,
        case when totals.tightness_index is not null then
            100 * scores.weight / totals.coverage * scores.score
            / count(scores.score) over (partition by scores.metal, scores.as_of_date, scores.version, scores.family)
        end as contribution
    from {{ scores }} as scores
    inner join {{ built_rows(ref('int_index_daily')) }} as totals
        on
            scores.metal = totals.metal
            and scores.as_of_date = totals.as_of_date
            and scores.version = totals.version
    {% if is_partial() -%}
    union all
    select metal, version, indicator, as_of_date, contribution
    from {{ kept_rows(this, ['metal', 'version', 'indicator'], change_days() | max) }} as kept
    {%- endif %}
),

-- A day without an index has no changes.
indexed as (
    select
        metal,
        version,
        as_of_date,
        {% for n in change_days() -%}
        regime_status = 'OK' and lag(regime_status, {{ n }}) over (
            partition by metal, version order by as_of_date asc nulls last
        ) = 'OK' as has_change_{{ n }}d{% if not loop.last %},{% endif %}
        {% endfor %}
    from {{ window_rows(ref('int_regime_daily'), ['metal', 'version'], change_days() | max) }} as regimes
),

changes as (
    select
        contributions.metal,
        contributions.version,
        contributions.indicator,
        contributions.as_of_date,
        contributions.contribution,
        {% for n in change_days() -%}
        case when indexed.has_change_{{ n }}d then
            coalesce(contributions.contribution, 0) - coalesce(lag(contributions.contribution, {{ n }}) over (
                partition by contributions.metal, contributions.version, contributions.indicator
                order by contributions.as_of_date asc nulls last
            ), 0)
        end as contribution_chg_{{ n }}d{% if not loop.last %},{% endif %}
        {% endfor %}
    from contributions
    inner join indexed
        on
            contributions.metal = indexed.metal
            and contributions.version = indexed.version
            and contributions.as_of_date = indexed.as_of_date
),

window_ranks as (
    select * from daily
    union all
    select * from monthly
)

select
    scores.metal,
    cast(scores.version as integer) as version,
    scores.indicator,
    scores.as_of_date,
    dates.as_of_ts,
    scores.family,
    scores.region,
    cast(scores.sign as integer) as sign,
    scores.weight,
    scores.value,
    scores.percentile,
    scores.score,
    scores.n_hist,
    scores.expanding_percentile,
    {% for years in rank_years() -%}
    case when scores.value is not null then window_ranks.rank_{{ years }}y end as rank_{{ years }}y,
    {% endfor -%}
    case when scores.value is not null then
        greatest(window_ranks.rank_2y, window_ranks.rank_5y, window_ranks.rank_10y)
        - least(window_ranks.rank_2y, window_ranks.rank_5y, window_ranks.rank_10y)
    end as rank_sensitivity,
    case when scores.value is not null then window_ranks.median end as median,
    case when scores.value is not null then window_ranks.mad end as mad,
    case when scores.value is not null then
        {{ robust_z('scores.value', 'window_ranks.median', 'window_ranks.mad', 'p.z_cap') }}
    end as robust_z,
    scores.ranked_from,
    scores.break_ids is not null as is_break,
    scores.break_ids,
    changes.contribution,
    {% for n in change_days() -%}
    changes.contribution_chg_{{ n }}d{% if not loop.last %},{% endif %}
    {% endfor %}
from {{ scores }} as scores
inner join {{ ref('int_as_of_dates') }} as dates
    on scores.metal = dates.metal and scores.as_of_date = dates.as_of_date
inner join {{ ref('int_parameters') }} as p
    on scores.metal = p.metal and scores.as_of_date = p.calendar_date
left join window_ranks
    on
        scores.metal = window_ranks.metal
        and scores.version = window_ranks.version
        and scores.indicator = window_ranks.indicator
        and scores.as_of_date = window_ranks.as_of_date
left join changes
    on
        scores.metal = changes.metal
        and scores.version = changes.version
        and scores.indicator = changes.indicator
        and scores.as_of_date = changes.as_of_date
