{# A table, made and filled in one transaction: a reader of the warehouse sees the old one or the new one.
   dbt's own materialization makes it under another name and renames it twice, which costs more than most of the models. #}
{% materialization table, adapter='duckdb' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type='table') -%}
    {% call statement('main') -%}
        {% if existing %}drop {{ existing.type }} {{ existing }};{% endif %}
        {{ create_table_as(False, target, compiled_code) }}
    {%- endcall %}
    {% do adapter.commit() %}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}
