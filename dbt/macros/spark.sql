{# What the Spark target needs beside the branches of engine.sql. Spark makes every table whole (docs/adr/0034). #}

{% materialization by_decision_time, adapter='spark' %} {{ return(materialization_table_spark()) }} {% endmaterialization %}
{# The table is the log of signals, which is there before the build (pipelines/warehouse/spark.py). #}
{% materialization append_only, adapter='spark' %}
    {%- set target = this.incorporate(type='table') -%}
    {% call statement('main') -%}
        insert into {{ target }} by name
        {{ compiled_code }}
    {%- endcall %}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}
{% materialization in_slices, adapter='spark' %} {{ return(materialization_table_spark()) }} {% endmaterialization %}

{# The types of a contract are DuckDB's; the import into DuckDB enforces them and NOT NULL (pipelines/warehouse/spark.py). #}
{% macro spark__get_assert_columns_equivalent(sql) %}{% endmacro %}
{% macro spark__persist_constraints(relation, model) %}{% endmacro %}
