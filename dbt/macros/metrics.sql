{# Metrics in long form: one row for each row of a relation and metric.

   from: relation with metal, as_of_date and the columns that `rows` use; rows: dictionaries of SQL expressions by column.
   `metric` and `value` are required, other columns are NULL by default. `known` is when the last of the inputs became
   known, `window_start` the first day that the value is compared with. The facts is_stale, is_suspect, is_break and
   is_partial make its quality flags (signal_candidates); those of components of the index are in int_component_values. #}
{% macro metric_rows(from, rows) -%}
{%- set columns = [
    ('value', 'double'), ('state', type_text()), ('n_hist', 'integer'), ('window_start', 'date'),
    ('obs_end', 'date'), ('known', type_instant()), ('basis', type_text()), ('licence', type_text()),
    ('coverage', 'double'), ('n_components', 'integer'), ('is_stale', 'boolean'), ('is_suspect', 'boolean'),
    ('is_break', 'boolean'), ('is_partial', 'boolean'), ('status', type_text()),
] -%}
{% for row in rows -%}
{%- if row.metric not in metric_registry() -%}
    {{ exceptions.raise_compiler_error(row.metric ~ ' is not in schemas/metrics.py: add it there') }}
{%- endif -%}
select
    metal,
    as_of_date,
    '{{ row.metric }}' as metric_id,
    {{ row.entity or "''" }} as entity,
    {% for name, type in columns -%}
    cast({{ row[name] or 'null' }} as {{ type }}) as {{ name }}{% if not loop.last %},{% endif %}
    {% endfor -%}
from {{ from }}
{% if not loop.last %}union all{% endif %}
{% endfor %}
{%- endmacro %}

{# Whether a list of words separated by blanks contains a word. #}
{% macro is_listed(word, words) -%}
    (' ' || {{ words }} || ' ') like ('% ' || {{ word }} || ' %')
{%- endmacro %}
