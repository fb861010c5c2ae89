{# Quality flags: their order, and the facts that several models share (docs/methodology.md#quality). #}

{# Every flag that holds, the worst first, separated by spaces; OK where none does. `facts`: SQL conditions by flag. #}
{% macro quality_flags(facts) -%}
{%- for flag in facts if flag not in quality_order() -%}
    {{ exceptions.raise_compiler_error(flag ~ ' is no quality flag: schemas/fields.py has them') }}
{%- endfor -%}
coalesce(nullif(concat_ws(
    ' '{% for flag in quality_order() if flag in facts %},
    case when {{ facts[flag] }} then '{{ flag }}' end{% endfor %}
), ''), 'OK')
{%- endmacro %}

{# The worst of the flags. #}
{% macro worst_flag(quality_flags) -%} split_part({{ quality_flags }}, ' ', 1) {%- endmacro %}

{# Whether a comparison, known on a day, of the observations from `since` to `obs_end` spans a break of the series. #}
{% macro spans_break(breaks, as_of_date, since, obs_end) -%}
{{ as_of_date }} >= {{ breaks }}.valid_from
            and {{ since }} < {{ breaks }}.break_date
            and {{ obs_end }} >= {{ breaks }}.break_date
{%- endmacro %}

{# What the index takes over from its components: the fact of a component by name. #}
{% macro component_facts() -%}
    {{ return({'is_stale': 'is_stale', 'is_suspect': 'is_suspect', 'is_break': 'break_ids is not null'}) }}
{%- endmacro %}

{# Whether a condition holds for one row of a group or more. #}
{% macro any_of_group(condition) -%} max(case when {{ condition }} then 1 else 0 end) = 1 {%- endmacro %}
