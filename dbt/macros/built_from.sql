{# Partial builds: rows by decision time before `built_from` are kept, the others are made again (docs/adr/0026).

   A row of a decision time rests only on what was known by then. So a run sets the variable `built_from` to the first
   decision time whose inputs have changed; by default it is -infinity, and everything is built. int_as_of_dates starts
   at `built_from`, and with it every model that is joined to it. Three kinds of models follow:

   - A table has the decision times of this build only: a step towards the models below.
   - `by_decision_time` keeps its earlier rows. What it computes from them it reads from itself or another such model:
     `kept_rows` for the rows in a window, `built_rows` for the rows of this build, `window_rows` for both.
   - A table by observation or release is built whole, because the clock decides what it shows. #}
{% macro is_partial() -%} {{ return(var('built_from') != '-infinity') }} {%- endmacro %}

{# The first decision day that is built. #}
{% macro first_day_built() -%}
    {% if is_partial() %}cast(cast('{{ var("built_from") }}' as {{ type_instant() }}) as date){% else %}cast('0001-01-01' as date){% endif %}
{%- endmacro %}

{# The rows of a model by decision time that this build has made. #}
{% macro built_rows(relation) -%}
    {% if is_partial() %}(select * from {{ relation }} where as_of_date >= {{ first_day_built() }}){% else %}{{ relation }}{% endif %}
{%- endmacro %}

{# The last n kept rows of each series (`by`) of a model by decision time, all without n: `and <condition>` narrows them.
   For partial builds only. #}
{% macro kept_rows(relation, by=[], n=none, condition='true') -%}
(
    select *
    from {{ relation }}
    where as_of_date < {{ first_day_built() }} and {{ condition }}
    {% if n -%}
    qualify row_number() over (partition by {{ by | join(', ') }} order by as_of_date desc nulls last) <= {{ n }}
    {%- endif %}
)
{%- endmacro %}

{# The rows of this build and the last n kept ones of each series before them. #}
{% macro window_rows(relation, by, n) -%}
    {% if is_partial() -%}
(
    select * from {{ built_rows(relation) }} as built
    union all
    select * from {{ kept_rows(relation, by, n) }} as kept
)
    {%- else -%} {{ relation }} {%- endif %}
{%- endmacro %}

{# The longest window that a parameter sets, for any metal and day. #}
{% macro longest(name) -%} (select max({{ name }}) from {{ ref('int_parameters') }}) {%- endmacro %}

{# A table of decision times: the rows from `built_from` on are deleted and made again, in one transaction. The query of
   a partial build runs after the deletion and may read the kept rows of its own table. #}
{% materialization by_decision_time, adapter='duckdb' %}
    {%- if not is_partial() -%} {{ return(materialization_table_duckdb()) }} {%- endif -%}
    {%- set target = this.incorporate(type='table') -%}
    {% call statement('main') -%}
        delete from {{ target }} where as_of_date >= {{ first_day_built() }};
        insert into {{ target }} by name
        select * from ({{ compiled_code }}) as built where as_of_date >= {{ first_day_built() }}
    {%- endcall %}
    {{ adapter.commit() }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}
