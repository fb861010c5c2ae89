{{ config(materialized='by_decision_time') }}
-- Registered stock at each decision time.
select * from {{ ref('int_inventory_daily') }}
