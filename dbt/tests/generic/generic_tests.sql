{# The columns identify a row. #}
{% test unique_key(model, columns) %}
select {{ columns | join(', ') }}, count(*) as n
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}

{# Nothing in the row was known after its decision time. #}
{% test known_by(model, decision, columns) %}
select *
from {{ model }}
where {% for c in columns %}{{ c }} > {{ decision }}{% if not loop.last %} or {% endif %}{% endfor %}
{% endtest %}

{# Expressions that hold for every row where they are known; a missing value breaks none. #}
{% test holds(model, expressions) %}
select *
from {{ model }}
where {% for e in expressions %}not ({{ e }}){% if not loop.last %} or {% endif %}{% endfor %}
{% endtest %}
