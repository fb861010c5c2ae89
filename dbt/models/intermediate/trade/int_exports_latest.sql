{% set in_window = ['metal, country, release_ts', 'period_end asc nulls last', 'rank_window_monthly'] %}
with periods as (
    select
        changes.*,
        p.rank_window_monthly,
        p.rank_min_periods_monthly
    from {{ ref('int_exports_changes') }} as changes
    inner join {{ ref('int_parameters') }} as p
        on changes.metal = p.metal and cast(changes.release_ts as date) = p.calendar_date
),

ranked as (
    select
        *,
        {{ mid_rank('exports_yoy_3m', *in_window) }} as percentile,
        {{ mid_rank('exports_yoy_3m', *(in_window[:2] + [all_rows()])) }} as expanding_percentile,
        {{ over_last('count', 'exports_yoy_3m', *in_window) }} as n_ranked,
        {{ over_last('median', 'exports_yoy_3m', *in_window) }} as median,
        {{ over_last('mad', 'exports_yoy_3m', *in_window) }} as mad,
        {{ over_last('min', 'case when exports_yoy_3m is not null then period_end end', *in_window) }} as ranked_from,
        {% for years in rank_years() -%}
        {% set in_years = in_window[:2] + [years * 12] -%}
        case when {{ over_last('count', 'exports_yoy_3m', *in_years) }} >= rank_min_periods_monthly
            then {{ mid_rank('exports_yoy_3m', *in_years) }} end as rank_{{ years }}y{% if not loop.last %},{% endif %}
        {% endfor %}
    from periods
)

select
    metal,
    country,
    release_ts as known_from,
    coalesce(
        lead(release_ts) over (partition by metal, country order by release_ts asc nulls last), {{ far_future() }}
    ) as known_to,
    period_end,
    exports_yoy,
    exports_yoy_3m,
    exports_ytd_yoy,
    case when n_ranked >= rank_min_periods_monthly then percentile end as exports_yoy_3m_percentile,
    case when n_ranked >= rank_min_periods_monthly then expanding_percentile end as exports_yoy_3m_expanding_percentile,
    n_ranked,
    case when n_ranked >= rank_min_periods_monthly then median end as median,
    case when n_ranked >= rank_min_periods_monthly then mad end as mad,
    {% for years in rank_years() -%}
    rank_{{ years }}y,
    {% endfor -%}
    ranked_from,
    is_suspect,
    is_ytd_suspect,
    knowledge_basis,
    licence_class
from ranked
where recency = 1
