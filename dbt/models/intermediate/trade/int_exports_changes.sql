with last_periods as (
    select
        latest.metal,
        latest.country,
        latest.release_ts,
        latest.period_end,
        latest.month_no,
        part.month_no - part.period_months + 1 as first_month_no,
        part.period_months,
        part.exports_kt,
        part.base_kt,
        part.rests_on_suspect,
        part.change_known_from,
        coalesce(sum(part.period_months) over (
            partition by latest.metal, latest.country, latest.release_ts, latest.period_end
            order by part.month_no desc nulls last
            rows between unbounded preceding and 1 preceding
        ), 0) as months_after
    from {{ ref('int_exports_known') }} as latest
    inner join {{ ref('int_exports_known') }} as part
        on
            latest.metal = part.metal
            and latest.country = part.country
            and latest.release_ts = part.release_ts
            and part.month_no between latest.month_no - 3 and latest.month_no
),

three_months as (
    select
        metal,
        country,
        release_ts,
        period_end,
        case
            when
                sum(period_months) >= 3
                and sum(period_months) = max(month_no) - min(first_month_no) + 1
                and count(base_kt) = count(*)
                then {{ yoy(ordered_sum('exports_kt', 'month_no'), ordered_sum('base_kt', 'month_no')) }}
        end as exports_yoy_3m,
        max(case when rests_on_suspect then 1 else 0 end) = 1 as is_suspect,
        max(change_known_from) as known_from
    from last_periods
    where months_after < 3
    group by metal, country, release_ts, period_end
),

years_to_date as (
    select
        metal,
        country,
        release_ts,
        period_end,
        sum(exports_kt) over year_so_far as ytd_kt,
        sum(base_kt) over year_so_far as ytd_base_kt,
        sum(case when base_kt is not null then period_months end) over year_so_far as ytd_months,
        max(case when rests_on_suspect then 1 else 0 end) over year_so_far = 1 as is_suspect,
        max(change_known_from) over year_so_far as known_from
    from {{ ref('int_exports_known') }}
    window year_so_far as (
        partition by metal, country, release_ts, year(period_end) order by period_end asc nulls last
        rows between unbounded preceding and current row
    )
)

select
    known.metal,
    known.country,
    known.release_ts,
    known.period_end,
    known.period_months,
    known.exports_kt,
    known.month_no,
    {{ yoy('known.exports_kt', 'known.base_kt') }} as exports_yoy,
    three_months.exports_yoy_3m,
    case
        when years_to_date.ytd_months = month(known.period_end)
            then {{ yoy('years_to_date.ytd_kt', 'years_to_date.ytd_base_kt') }}
    end as exports_ytd_yoy,
    three_months.is_suspect,
    years_to_date.is_suspect as is_ytd_suspect,
    known.change_known_from as yoy_known_from,
    three_months.known_from as yoy_3m_known_from,
    years_to_date.known_from as ytd_known_from,
    row_number() over (
        partition by known.metal, known.country, known.release_ts order by known.period_end desc nulls last
    ) as recency,
    known.known_from,
    known.knowledge_basis,
    known.licence_class
from {{ ref('int_exports_known') }} as known
inner join three_months
    on
        known.metal = three_months.metal
        and known.country = three_months.country
        and known.release_ts = three_months.release_ts
        and known.period_end = three_months.period_end
inner join years_to_date
    on
        known.metal = years_to_date.metal
        and known.country = years_to_date.country
        and known.release_ts = years_to_date.release_ts
        and known.period_end = years_to_date.period_end
