{# Schemas are named plainly (marts, signals): readers write marts.tightness_daily. On a cluster that several data folders
   share, each has schemas of its own. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (var('spark_schemas') if target.type == 'spark' else '') ~ (custom_schema_name or target.schema) }}
{%- endmacro %}
