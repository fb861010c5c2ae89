{# In the rows that the build made, the key identifies one row and every rule is true, or unknown as a value is missing.

   One row for each rule that is broken, with the number of rows that break it and the key of one. key: columns;
   rules: SQL expressions; decision_time: the column by which a build keeps earlier rows, where the table has one. #}
{% test follows_schema(model, key, rules, decision_time=none) %}
{{ config(fail_calc='coalesce(sum(failing_rows), 0)') }}
{%- set row -%} {% for c in key %}'{{ c }} ' || {{ c }}{% if not loop.last %} || ', ' || {% endif %}{% endfor %} {%- endset -%}
{%- set made -%}
{%- if decision_time and is_partial() -%}
{{ decision_time }} >= cast('{{ var("built_from") }}' as {{ type_instant() }})
{%- else -%}
true
{%- endif -%}
{%- endset -%}
with repeated as (
    select {{ key | join(', ') }}, count(*) as n
    from {{ model }}
    where {{ made }}
    group by {{ key | join(', ') }}
    having count(*) > 1
),

broken as (
    select *
    from {{ model }}
    where {{ made }} and not (
        {% for rule in rules %}({{ rule }}){% if not loop.last %}
        and {% endif %}{% endfor %}
    )
)

select 'one row for each {{ key | join(", ") }}' as rule, sum(n - 1) as failing_rows, min({{ row }}) as example
from repeated
having count(*) > 0
union all
select rule, count(*) as failing_rows, min(example) as example
from (
    select
        {{ row }} as example,
        {% set names = [] %}
        {%- for rule in rules %}
        {%- do names.append("case when not (" ~ rule ~ ") then '" ~ rule | replace("'", "''") ~ "' end") %}
        {%- endfor %}
        {{ each_of(names) }} as rule
    from broken
) as violations
where rule is not null
group by rule
{% endtest %}
