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

{# A table that is only appended to, made with the columns of its contract. Its query reads the rows that are there.
   A table with other columns fails the build: rows of the past cannot be made again. #}
{% materialization append_only, adapter='duckdb' %}
    {%- set target = this.incorporate(type='table') -%}
    {%- set contract = model.columns.values() -%}
    {% call statement('made') -%}
        create table if not exists {{ target }} {{ get_table_columns_and_constraints() }}
    {%- endcall %}
    {%- set other = run_query(columns_that_differ(target, contract)) -%}
    {% if other.rows %}{% do exceptions.raise_compiler_error(
        target ~ ' has other columns than its contract: ' ~ other.columns[0].values() | join(', ')
        ~ '. Change the stored table first'
    ) %}{% endif %}
    {% call statement('main') -%}
        insert into {{ target }} by name
        {{ compiled_code }}
    {%- endcall %}
    {% do adapter.commit() %}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{# Names and types of the columns that a table and its contract do not share. #}
{% macro columns_that_differ(relation, contract) -%}
with contract (name, type) as (
    values
    {% for column in contract -%}
    ('{{ column.name }}', typeof(cast(null as {{ column.data_type }}))){{ ',' if not loop.last }}
    {% endfor %}
),

stored as (
    select column_name as name, data_type as type
    from duckdb_columns()
    where database_name = '{{ relation.database }}' and schema_name = '{{ relation.schema }}' and table_name = '{{ relation.identifier }}'
)

select distinct name || ' ' || type as found
from ((from contract except from stored) union all (from stored except from contract))
order by found
{%- endmacro %}

{# dbt compares the columns of each contract with those of two empty queries, which costs more than most of the tables.
   Here a column that is missing, or NULL where it must not be, fails the build, because the table is made from its
   contract; the types follow from the SQL alone, and tests/pipeline/test_compiled.py compares them. #}
{% macro duckdb__get_assert_columns_equivalent(sql) %}{% endmacro %}
