-- The forward curve at each decision time.
select * from {{ ref('int_curve_daily') }}
