{# The columns together identify a row. #}
{% test unique_combination_of_columns(model, combination_of_columns) %}
select {{ combination_of_columns | join(', ') }}, count(*) as n
from {{ model }}
group by {{ combination_of_columns | join(', ') }}
having count(*) > 1
{% endtest %}

{# The expression is true for every row, or unknown because a value is missing. #}
{% test expression_is_true(model, expression) %}
select *
from {{ model }}
where not ({{ expression }})
{% endtest %}

{# No row uses what was known only after its decision time. #}
{% test not_known_after(model, knowledge_time, decision_time) %}
select *
from {{ model }}
where {{ knowledge_time }} > {{ decision_time }}
{% endtest %}
