{# Tables that are made from slices of a large dataset, one after the other, so that memory does not grow with it.

   A model with the materialization `in_slices` reads rows of `in_slice(day)` of the dataset `sliced_dataset` only, and
   computes each row from rows of one month of `sliced_by`. Its SQL alone, without a slice, is the whole table.
   A build with more than one slice has DuckDB's own memory limit from then on: four fifths of the machine's. #}
{% macro in_slice(day) -%} {{ return(adapter.dispatch('in_slice')(day)) }} {%- endmacro %}
{% macro default__in_slice(day) -%}
    {{ day }} >= coalesce(getvariable('slice_from'), cast('-infinity' as date))
    and {{ day }} < coalesce(getvariable('slice_to'), cast('infinity' as date))
{%- endmacro %}
{% macro spark__in_slice(day) -%} true {%- endmacro %}

{# The first day of each slice but the first one. A slice has whole months, the last of which reaches `slice_rows` rows. #}
{% macro slice_starts(name, day) -%}
select cast(min(month) as varchar) as starts
from (
    select month, (sum(n) over (order by month) - n) // {{ var('slice_rows') }} as slice
    from (
        select {{ first_of_month(day) }} as month, count(*) as n
        from {{ parquet(var('lake') ~ '/' ~ name ~ '/*.parquet') }}
        group by all
    )
)
group by slice
order by min(month)
offset 1
{%- endmacro %}

{% materialization in_slices, adapter='duckdb' %}
    {%- set target = this.incorporate(type='table') -%}
    {%- set starts = run_query(slice_starts(config.require('sliced_dataset'), config.require('sliced_by'))) -%}
    {%- set bounds = [none] + (starts.columns[0].values() | list) + [none] -%}
    {% call statement('main') -%}
        {% if starts.rows %}reset threads; reset memory_limit;{% endif %}
        {%- for start in bounds[:-1] %}
        set variable slice_from = {{ "date '" ~ start ~ "'" if start else 'null' }};
        set variable slice_to = {{ "date '" ~ bounds[loop.index] ~ "'" if bounds[loop.index] else 'null' }};
        {{ 'create or replace table ' ~ target ~ ' as' if loop.first else 'insert into ' ~ target }}
        {{ compiled_code }};
        {%- endfor %}
        reset variable slice_from; reset variable slice_to; set threads = 1
    {%- endcall %}
    {{ adapter.commit() }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}
