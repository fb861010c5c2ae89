with periods as (
    select
        *,
        {{ days_between('period_end', first_of_month(months_before('period_end', 'period_months - 1'))) }} + 1 as n_days
    from {{ ref('stg_production') }}
),

rates as (
    select
        periods.*,
        {{ annualised('periods.production_kt', 'periods.n_days') }} as annualised_kt,
        case when periods.country = 'CN' then p.china_cap_t end as cap_t
    from periods
    inner join {{ ref('int_parameters') }} as p
        on periods.metal = p.metal and periods.period_end = p.calendar_date
)

select
    *,
    {{ cap_utilisation('annualised_kt', 'cap_t') }} as cap_utilisation
from rates
