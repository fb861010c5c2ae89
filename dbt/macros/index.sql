{# Rows of a group as columns: for each entry a column named prefix + entry + suffix, with `value` of the row whose `name` is the
   entry (in any case). #}
{% macro pivoted(entries, name, value, prefix, suffix='') -%}
{% for entry in entries -%}
max({{ value }}) filter (where lower({{ name }}) = '{{ entry }}') as {{ prefix }}{{ entry }}{{ suffix }}
{%- if not loop.last %},
        {% endif %}
{%- endfor %}
{%- endmacro %}

{# A parameter of a version of the index; `p`: parameters. #}
{% macro of_version(name, version) -%} case when {{ version }} = 1 then p.{{ name }} else p.{{ name }}_v2 end {%- endmacro %}

{# The rank that makes the score of a version: over the window, or the mean of this and the one among all values. #}
{% macro rank_of_version() -%}
    case when ranked.version = 1 then ranked.window_rank else (ranked.window_rank + ranked.expanding_rank) / 2 end
{%- endmacro %}

{# The metric whose breaks are those of an indicator. #}
{% macro metric_of(indicator) -%}
case {{ indicator }}
    {%- for name, source in daily_indicators().items() if source.metric %} when '{{ name }}' then '{{ source.metric }}'
    {%- endfor %} else {{ indicator }} end
{%- endmacro %}

{# Regions whose premia are components of version 2. Duty paid in Europe is not among them: it is the duty-unpaid premium and
   the duty, and no series counts twice. #}
{% macro premium_regions() -%} {{ return(['us_midwest', 'eu_duty_unpaid', 'japan']) }} {%- endmacro %}

{# The version of the index that a metric is about; missing for other metrics. #}
{% macro version_of(metric_id) -%}
case {{ metric_id }}
    when 'tightness_index' then 1 when 'regime' then 1 when 'tightness_index_v2' then 2 when 'regime_v2' then 2
end
{%- endmacro %}
