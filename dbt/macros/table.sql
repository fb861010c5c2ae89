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

{# A table that is only appended to, made with the columns of its contract. Its query reads the rows that are there. #}
{% materialization append_only, adapter='duckdb' %}
    {%- set target = this.incorporate(type='table') -%}
    {% call statement('main') -%}
        create table if not exists {{ target }} {{ get_table_columns_and_constraints() }};
        insert into {{ target }} by name
        {{ compiled_code }}
    {%- endcall %}
    {% do adapter.commit() %}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{# dbt compares the columns of each contract with those of two empty queries, which costs more than most of the tables.
   Here a column that is missing, or NULL where it must not be, fails the build, because the table is made from its
   contract; the types follow from the SQL alone, and tests/pipeline/test_compiled.py compares them. #}
{% macro duckdb__get_assert_columns_equivalent(sql) %}{% endmacro %}
