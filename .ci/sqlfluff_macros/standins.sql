{# DuckDB constructs that sqlfluff's grammar lacks, replaced for the linter only. #}
{% macro sqlfluff__last_rows(n) -%} rows between 1 preceding and current row {%- endmacro %}
{% macro sqlfluff__fold(items, initial, a, b, body) -%} list_reduce({{ items }}, {{ initial }}) {%- endmacro %}
