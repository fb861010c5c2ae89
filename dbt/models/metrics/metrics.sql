-- Every metric at every decision time at which there is something to say of it.
{% for part in [
    'price', 'curve', 'inventory', 'visible', 'flow', 'trade', 'output', 'idled', 'power', 'market', 'index'
] -%}
select * from {{ ref('metrics_' ~ part) }}
{% if not loop.last %}union all{% endif %}
{% endfor %}
