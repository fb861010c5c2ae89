with valid_parameters as (
    {{ valid_rows('parameters', by=['name'], columns=['value', 'status']) }}
),

changes as (
    select
        metal,
        valid_from,
        {% for name in parameter_names() -%}
        max(value) filter (where name = '{{ name }}') as {{ name }},
        {% endfor -%}
        -- An assumption, which is shown as one wherever it is used.
        max(status) filter (where name = 'other_cash_usd_t') as other_cash_status
    from valid_parameters
    group by metal, valid_from
)

{{ each_day('changes', parameter_names() + ['other_cash_status']) }}
