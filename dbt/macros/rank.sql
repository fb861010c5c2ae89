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
{% macro spark__mid_rank(x, partition_by, order_by, window_size) -%}
{%- set frame -%}
collect_list({{ x }}) over (
    partition by {{ partition_by }} order by {{ order_by }} rows between unbounded preceding and current row
)
{%- endset -%}
    {#- Spark's frames take constants only: the list is cut to the window. collect_list skips NULLs. -#}
    case when {{ x }} is not null then aggregate(
        slice({{ frame }}, -least(size({{ frame }}), cast({{ window_size }} as int)), cast({{ window_size }} as int)),
        cast(0 as double),
        (a, v) -> a + case when v < {{ x }} then 1.0 when v = {{ x }} then 0.5 else 0.0 end
    ) / least(size({{ frame }}), cast({{ window_size }} as int)) end
{%- endmacro %}

{# Median absolute deviation, as an aggregate that also works over a frame. #}
{% macro median_deviation(x) -%} {{ return(adapter.dispatch('median_deviation')(x)) }} {%- endmacro %}
{% macro default__median_deviation(x) -%} mad({{ x }}) {%- endmacro %}

{# Robust z: distance from the median in units of 1.4826 * MAD, cut off at the cap; NULL where MAD is 0. #}
{% macro robust_z(x, median, mad, cap) -%}
    case when {{ mad }} > 0 then
        greatest(-({{ cap }}), least({{ cap }}, ({{ x }} - {{ median }}) / (1.4826 * {{ mad }})))
    end
{%- endmacro %}

{# Years of the further windows that ranks are published for, and business days in a year. #}
{% macro rank_years() -%} {{ return([2, 5, 10]) }} {%- endmacro %}
{% macro rank_days_a_year() -%} {{ return(252) }} {%- endmacro %}
