{{ config(materialized='by_decision_time') }}
-- Each version of the index, and the challenger, beside its own past.
with values_of_days as (
    select
        metal,
        case when version = 1 then 'tightness_index' else 'tightness_index_v2' end as index_name,
        as_of_date,
        tightness_index as value
    from {{ window_rows(ref('int_index_daily'), ['metal', 'version'], none) }} as index_daily
    union all
    select metal, 'index_pca' as index_name, as_of_date, index_pca as value
    from ({{ pca_daily() }}) as pca
),

compared as (
    select
        metal,
        index_name,
        as_of_date,
        value,
        {{ mid_rank('value', 'metal, index_name', 'as_of_date asc nulls last', all_rows()) }} as percentile,
        {% for n in change_days() -%}
        value - lag(value, {{ n }}) over (
            partition by metal, index_name order by as_of_date asc nulls last
        ) as change_{{ n }}d,
        {% endfor -%}
        {% for years in rank_years() -%}
        {% for name, aggregate in [('low', 'min'), ('high', 'max')] -%}
        {{ over_last(
            aggregate, 'value', 'metal, index_name', 'as_of_date asc nulls last', years * rank_days_a_year()
        ) }} as {{ name }}_{{ years }}y{% if not (loop.last and years == rank_years()[-1]) %},{% endif %}
        {% endfor -%}
        {% endfor %}
    from values_of_days
)

select
    compared.metal,
    compared.index_name,
    compared.as_of_date,
    dates.as_of_ts,
    compared.value,
    compared.percentile,
    {% for n in change_days() -%}
    compared.change_{{ n }}d,
    {% endfor -%}
    {% for years in rank_years() -%}
    compared.low_{{ years }}y,
    compared.high_{{ years }}y{% if not loop.last %},{% endif %}
    {% endfor %}
from compared
inner join {{ ref('int_as_of_dates') }} as dates
    on compared.metal = dates.metal and compared.as_of_date = dates.as_of_date
where compared.value is not null
