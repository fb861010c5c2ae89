{{ config(materialized='by_decision_time') }}
-- The forward curve at each decision time.
select * from {{ ref('int_curve_daily') }}
