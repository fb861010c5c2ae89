{{ config(materialized='ephemeral') }}
select * from (
    {{ known_at(
        ref('int_as_of_dates'), ref('stg_costs'), 'obs_date', 45, by=['metal'],
        columns=['alumina_usd_t', 'premium_usd_t'],
    ) }}
) as known
where recency = 1
