{# One row for each metal, exchange and decision day: the newest report of its stock of the metal itself known then, of
   the 45 days before. #}
{% macro exchange_stocks_asof() -%}
select * from (
    {{ known_at(
        '(
            select dates.*, exchanges.exchange
            from ' ~ ref('int_as_of_dates') ~ ' as dates
            inner join (
                select distinct metal, exchange from ' ~ ref('int_exchange_stocks_known') ~ '
            ) as exchanges on dates.metal = exchanges.metal
        )',
        ref('int_exchange_stocks_known'), 'obs_date', 45, by=['metal', 'exchange'],
        columns=['total_t', 'on_warrant_t', 'total_chg_t'], condition="obs.product = 'METAL'",
    ) }}
) as known
where recency = 1
{%- endmacro %}
