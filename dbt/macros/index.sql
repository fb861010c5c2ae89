{# Rows of a group as columns: for each entry a column named prefix + entry, with `value` of the row whose `name` is the
   entry (in any case). #}
{% macro pivoted(entries, name, value, prefix) -%}
{% for entry in entries -%}
max({{ value }}) filter (where lower({{ name }}) = '{{ entry }}') as {{ prefix }}{{ entry }}
{%- if not loop.last %},
        {% endif %}
{%- endfor %}
{%- endmacro %}
