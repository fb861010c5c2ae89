{# Mid-distribution percentile of x within the frame of `window_size` rows that ends with this one:
   (#{x_s < x_t} + half of #{x_s = x_t}) / n over the values that are not missing. NULL for a missing x.
   percent_rank and cume_dist count ties differently, and over a whole partition they look ahead. #}
{% macro mid_rank(x, partition_by, order_by, window_size) -%}
    {{ return(adapter.dispatch('mid_rank')(x, partition_by, order_by, window_size)) }}
{%- endmacro %}
{% macro default__mid_rank(x, partition_by, order_by, window_size) -%}
{%- set frame -%}
(partition by {{ partition_by }} order by {{ order_by }} {{ last_rows(window_size) }})
{%- endset -%}
    case when {{ x }} is not null then
        (
            -- Rows below x: the framed rank less one. Rows up to x: the framed cume_dist times the number of rows.
            -- Missing values come last and count in neither.
            rank(order by {{ x }} asc nulls last) over {{ frame }} - 1
            + round(cume_dist(order by {{ x }} asc nulls last) over {{ frame }} * count(*) over {{ frame }})
        ) / 2.0 / nullif(count({{ x }}) over {{ frame }}, 0)
    end
{%- endmacro %}
{# The place of x from below and from above gives the values below it and up to it. #}
{% macro spark__mid_rank(x, partition_by, order_by, window_size) -%}
    case when {{ x }} is not null then {{ with_value(
        'sort_array(' ~ last_values(x, partition_by, order_by, window_size) ~ ')', 's',
        '(array_position(s, ' ~ x ~ ') + size(s) - array_position(reverse(s), ' ~ x ~ ')) / cast(2 as double) / size(s)'
    ) }} end
{%- endmacro %}

{# Mid-distribution percentile of `x` among the values `history` of a group, x itself included. #}
{% macro mid_rank_of_group(x, history) -%}
    case when {{ x }} is not null then
        cast(sum(case when {{ history }} < {{ x }} then 1.0 when {{ history }} = {{ x }} then 0.5 else 0.0 end) as double)
        / nullif(count({{ history }}), 0)
    end
{%- endmacro %}

{# The values of daily indicators as the ranks of each decision time count them, as a subquery.

   A spread or a value of the curve that rests on a suspect price (of the day `obs_end`) counts until the suspicion is
   known, and not after it.
   `ranked_on` is missing in the rows that the ranks of all decision times share. Decision times that came before the
   suspicion have copies of the rows up to them, with their own date in `ranked_on`: a rank that was published stays.
   Windows are partitioned by ranked_on; a decision time's own row is the one with `is_ranked_here`.
   values: relation with metal, indicator, as_of_date, obs_end and value. ranked_value: the value, where it counts. #}
{% macro ranked_values(values) -%}
(
    with suspects as (
        select metal, obs_date, min(as_of_date) as suspect_from
        from {{ ref('int_suspect_prices') }}
        group by metal, obs_date
    ),

    marked as (
        select given.*, suspects.suspect_from
        from {{ values }} as given
        left join suspects
            on
                given.metal = suspects.metal
                and given.obs_end = suspects.obs_date
                and given.indicator in (
                    'spread_usd_t',
                    {%- for indicator, source in daily_indicators().items() if source.table == 'curve_daily' -%}
                    '{{ indicator }}'{% if not loop.last %}, {% endif %}
                    {%- endfor -%}
                )
    ),

    unsuspecting as (
        select distinct later.metal, later.indicator, later.as_of_date as ranked_on
        from marked
        inner join marked as later
            on
                marked.metal = later.metal
                and marked.indicator = later.indicator
                and marked.as_of_date <= later.as_of_date
                and marked.suspect_from > later.as_of_date
        where marked.suspect_from is not null
    )

    select
        marked.*,
        cast(null as date) as ranked_on,
        case when marked.suspect_from is null then marked.value end as ranked_value,
        unsuspecting.ranked_on is null as is_ranked_here
    from marked
    left join unsuspecting
        on
            marked.metal = unsuspecting.metal
            and marked.indicator = unsuspecting.indicator
            and marked.as_of_date = unsuspecting.ranked_on
    union all
    select
        marked.*,
        unsuspecting.ranked_on,
        case when coalesce(marked.suspect_from > unsuspecting.ranked_on, true) then marked.value end as ranked_value,
        marked.as_of_date = unsuspecting.ranked_on as is_ranked_here
    from unsuspecting
    inner join marked
        on
            unsuspecting.metal = marked.metal
            and unsuspecting.indicator = marked.indicator
            and unsuspecting.ranked_on >= marked.as_of_date
)
{%- endmacro %}

{# More rows than a frame has: all rows up to this one. #}
{% macro all_rows() -%} 1000000 {%- endmacro %}

{# Robust z: distance from the median in units of 1.4826 * MAD, cut off at the cap; NULL where MAD is 0. #}
{% macro robust_z(x, median, mad, cap) -%}
    case when {{ mad }} > 0 then
        greatest(-({{ cap }}), least({{ cap }}, ({{ x }} - {{ median }}) / (1.4826 * {{ mad }})))
    end
{%- endmacro %}

{# Days over which the changes of the index are published. #}
{% macro change_days() -%} {{ return([1, 5, 20]) }} {%- endmacro %}

{# Years of the further windows that ranks are published for, and business days in a year. #}
{% macro rank_years() -%} {{ return([2, 5, 10]) }} {%- endmacro %}
{% macro rank_days_a_year() -%} {{ return(252) }} {%- endmacro %}
