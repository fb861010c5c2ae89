{# Constructs that DuckDB has and sqlfluff's grammar has not; only the linter reads these. #}
{% macro sqlfluff__last_rows(n) -%} rows between 1 preceding and current row {%- endmacro %}
{% macro sqlfluff__fold(items, initial, a, b, body) -%} list_reduce({{ items }}, {{ initial }}) {%- endmacro %}
