-- Prices, the curve, and the states of the price: marts.price_daily, marts.curve_daily,
-- marts.curve_spreads_daily.
create temp table m3 as
    select *, m3_usd_t as value, dense_rank() over (order by obs_date) as n from prices where m3_usd_t is not null;
create temp table spread as
    select *, cash_usd_t - m3_usd_t as value, dense_rank() over (order by obs_date) as n
    from prices where cash_usd_t is not null and m3_usd_t is not null;

-- The place of the last price on or before the same day a year earlier.
create temp table year_earlier as
    select day.obs_date, base.n as base_n
    from (select distinct obs_date from prices) as day
    asof join (select distinct obs_date, n from m3) as base on (day.obs_date - to_months(12))::date >= base.obs_date
    where (day.obs_date - to_months(12))::date - base.obs_date <= (select yoy_max_staleness_days from p);

-- Whether the newest m of a list (newest first) meet a condition, k of them and the newest included.
create temp macro sustained(met, k, m) as
    len(met) >= m and met[1] and len(list_filter(met[:m::int], lambda x: x)) >= k;
-- 1 or -1: sustained above or below a level; NULL: neither.
create temp macro side_of(xs, level, buffer, k, m) as case
    when sustained(list_transform(xs, lambda x: x > level * (1 + buffer)), k, m) then 1
    when sustained(list_transform(xs, lambda x: x < level * (1 - buffer)), k, m) then -1
end;
-- 1 or -1: in backwardation, or out of it.
create temp macro backwardation_of(xs, k, m) as case
    when sustained(list_transform(xs, lambda x: x > 0), k, m) then 1
    when sustained(list_transform(xs, lambda x: x <= 0), k, m) then -1
end;
-- A level is left only across the same level, so the last crossing of each decides.
create temp macro level_state(last_up, last_down) as case
    when last_up = 1 then 'ABOVE' when last_down = -1 then 'BELOW' else 'INSIDE'
end;

-- Whether a price lies beyond both of its neighbours by more than a share of them.
create temp macro is_beyond(price, before, after, share) as
    price > (1 + share) * before and price > (1 + share) * after
    or price < (1 - share) * before and price < (1 - share) * after;

-- Suspect prices as known at each decision time.
create temp table suspect_prices as
    select as_of_date, obs_date, value
    from (
        select
            as_of_date, obs_date, value, lag(value) over w as value_before, lead(value) over w as value_after
        from before('m3', 45, (select range(46)))
        window w as (partition by as_of_date order by obs_date)
    ), p
    where is_beyond(value, value_before, value_after, price_reversal);

create or replace table marts.price_daily as
    with runs as (
        select obs_date, m3_usd_t, known_from, count_if(coalesce(gap > 45, false)) over (order by obs_date) as run
        from (
            select obs_date, m3_usd_t, known_from, obs_date - lag(obs_date) over (order by obs_date) as gap
            from m3 where known_to = 'infinity'
        )
    ),
    ticks as (
        select
            obs_date, is_beyond(m3_usd_t, lag(m3_usd_t) over w, lead(m3_usd_t) over w, price_reversal) as is_suspect,
            case when abs(m3_usd_t / lag(m3_usd_t) over w - 1) > price_reversal then lead(known_from) over w end
                as decided_from
        from runs, p
        window w as (partition by run order by obs_date)
    ),
    sides as (
        select
            obs_date, run, dated.level_up + dated.level_down is not null as has_levels,
            list_reverse(list(m3_usd_t) over (
                partition by run order by obs_date
                rows between (select greatest(level_m, level_alt_m)::int - 1 from p) preceding and current row
            )) as xs,
            side_of(xs, dated.level_up, level_buffer, level_k, level_m) as up,
            side_of(xs, dated.level_down, level_buffer, level_k, level_m) as down,
            side_of(xs, dated.level_up, level_buffer, level_alt_k, level_alt_m) as alt_up,
            side_of(xs, dated.level_down, level_buffer, level_alt_k, level_alt_m) as alt_down
        from runs
        join dated on obs_date = calendar_date
        cross join p
    ),
    levels as (
        select
            obs_date,
            case when has_levels
                then level_state(last_value(up ignore nulls) over w, last_value(down ignore nulls) over w)
            end as level_state_5of5,
            case when has_levels
                then level_state(last_value(alt_up ignore nulls) over w, last_value(alt_down ignore nulls) over w)
            end as level_state_3of5
        from sides
        window w as (partition by run order by obs_date)
    ),
    curve as (
        select obs_date, coalesce(backwardation_of(xs, bw_k, bw_m) = 1, false) as backwardation_sustained
        from (
            select obs_date, list_reverse(list(value) over (
                order by obs_date rows between (select bw_m::int - 1 from p) preceding and current row
            )) as xs
            from spread where known_to = 'infinity'
        ), p
    )
    select
        price.metal, price.obs_date, price.cash_usd_t, price.m3_usd_t,
        price.cash_usd_t - price.m3_usd_t as cash_3m_spread_usd_t,
        price.m3_usd_t / nullif(base.m3_usd_t, 0) - 1 as m3_yoy,
        base.obs_date as m3_yoy_base_date,
        level_state_5of5, level_state_3of5,
        coalesce(backwardation_sustained, false) as backwardation_sustained,
        coalesce(ticks.is_suspect, false) as is_suspect,
        price.known_from as knowledge_ts,
        greatest(max(price.known_from) over (order by price.obs_date), base.known_from, decided_from)
            as knowledge_ts_max,
        price.basis as knowledge_basis, price.vintage_no, price.source, price.licence::varchar as licence_class
    from prices as price
    left join year_earlier using (obs_date)
    left join m3 as base on base_n = base.n and base.known_to = 'infinity'
    left join levels using (obs_date)
    left join ticks using (obs_date)
    left join curve using (obs_date)
    where price.known_to = 'infinity';

create temp table price_states as
    with latest as (
        select
            price.as_of_date, price.obs_date as m3_obs_date, price.m3_usd_t, price.known as m3_known,
            base.obs_date as base_date,
            price.m3_usd_t / nullif(base.m3_usd_t, 0) - 1 as m3_yoy,
            greatest(price.known, base.known_from) as yoy_known,
            exists (
                from suspect_prices as wrong
                where base.obs_date = wrong.obs_date and base.value = wrong.value and price.as_of_date >= wrong.as_of_date
            ) as is_yoy_suspect,
            least(price.basis, base.basis) as basis, least(price.licence, base.licence) as licence
        from newest('m3', 45) as price
        left join year_earlier using (obs_date)
        left join m3 as base
            on base_n = base.n and price.as_of_ts >= base.known_from and price.as_of_ts < base.known_to
    ),
    sides as (
        select
            as_of_date, list(value order by place) as xs, max(known_from) as known,
            any_value(dated.level_up + dated.level_down) is not null as has_levels,
            count_if(is_wrong and place < level_m) > 0 as is_suspect_5of5,
            count_if(is_wrong and place < level_alt_m) > 0 as is_suspect_3of5,
            side_of(xs, any_value(dated.level_up), any_value(level_buffer), any_value(level_k), any_value(level_m)) as up,
            side_of(xs, any_value(dated.level_down), any_value(level_buffer), any_value(level_k), any_value(level_m)) as down,
            side_of(xs, any_value(dated.level_up), any_value(level_buffer), any_value(level_alt_k), any_value(level_alt_m))
                as alt_up,
            side_of(xs, any_value(dated.level_down), any_value(level_buffer), any_value(level_alt_k), any_value(level_alt_m))
                as alt_down
        from before('m3', 45, (select range(greatest(level_m, level_alt_m)::int) from p))
        left join (select as_of_date, obs_date, true as is_wrong from suspect_prices) as wrong
            using (as_of_date, obs_date)
        join dated on as_of_date = calendar_date
        cross join p
        group by as_of_date
    ),
    curve as (
        select
            as_of_date, list(value order by place) filter (place < bw_m) as xs,
            max(known_from) filter (place < bw_m) as known,
            max(obs_date) as spread_obs_date, max(known_from) filter (where place = 0) as spread_known,
            coalesce(backwardation_of(xs, any_value(bw_k), any_value(bw_m)), 0) as backwardation,
            count_if(is_wrong and place < bw_m) > 0 as is_backwardation_suspect,
            count_if(is_wrong and place = 0) > 0 as is_spread_suspect,
            case when count_if(place < bw_window) = any_value(bw_window)
                then count_if(place < bw_window and value > 0 and is_wrong is null)
            end as n_backwardation,
            max(known_from) filter (place < bw_window) as n_backwardation_known
        from before('spread', 45, (select range(greatest(bw_m, bw_window)::int) from p))
        left join (select as_of_date, obs_date, true as is_wrong from suspect_prices) as wrong
            using (as_of_date, obs_date)
        cross join p
        group by as_of_date
    ),
    runs as (  -- a market without a price in 45 days starts again
        select
            spine.as_of_date, latest.* exclude (as_of_date),
            count_if(m3_usd_t is null) over (order by spine.as_of_date) as run,
            has_levels, up, down, alt_up, alt_down, nullif(backwardation, 0) as side, curve.xs[1] as spread_usd_t,
            spread_obs_date, spread_known, n_backwardation, n_backwardation_known, backwardation = 1 as backwardation_sustained,
            is_suspect_5of5, is_suspect_3of5, is_backwardation_suspect, is_spread_suspect,
            greatest(sides.known, curve.known) as recent_known
        from spine
        left join latest using (as_of_date)
        left join sides using (as_of_date)
        left join curve using (as_of_date)
    )
    select
        * exclude (run, has_levels, up, down, alt_up, alt_down, side, recent_known),
        case when has_levels
            then level_state(last_value(up ignore nulls) over w, last_value(down ignore nulls) over w)
        end as level_state_5of5,
        case when has_levels
            then level_state(last_value(alt_up ignore nulls) over w, last_value(alt_down ignore nulls) over w)
        end as level_state_3of5,
        case
            when spread_usd_t is null then null
            when last_value(side ignore nulls) over w = 1 then 'BACKWARDATION'
            when max(side) over w = 1 then 'UNWOUND'
            else 'CONTANGO'
        end as spread_state,
        if(level_state_5of5 = 'BELOW', 1, if(level_state_5of5 is not null, 0, null)) as is_below,
        case when spread_usd_t <= 0 then 1 when spread_usd_t > 0 then 0 end as is_not_backwardated,
        max(recent_known) over w as states_known
    from runs
    window w as (partition by run order by as_of_date);

create or replace table marts.curve_daily as
    with quoted as (
        select
            as_of_date,
            max(usd_t) filter (where spread = 'CASH_3M') as quoted_cash_3m_usd_t,
            max(usd_t) filter (where spread = 'TOM_NEXT') as quoted_tom_next_usd_t,
            max(usd_t) filter (where spread = 'M3_M15') as quoted_m3_m15_usd_t,
            max(usd_t) filter (where spread = 'DEC_DEC') as quoted_dec_dec_usd_t,
            max(obs_date) filter (where spread = 'CASH_3M') as quoted_obs_date,
            max(known) as known, min(basis) as basis, min(licence) as licence
        from newest('quoted_spreads', 45, series := spread)
        where spread in ('CASH_3M', 'TOM_NEXT', 'M3_M15', 'DEC_DEC')
        group by as_of_date
    ),
    carried as (
        select
            spine.metal, spine.as_of_date, spine.as_of_ts,
            price.obs_date as price_obs_date, rate.obs_date as rate_obs_date,
            rate.rate_id, spine.as_of_date - rate.obs_date > stale_days_rate as is_rate_stale,
            (spine.as_of_date - price.obs_date)::integer as price_age_days,
            price.cash_usd_t, price.m3_usd_t,
            coalesce(price.days_cash_to_3m, calendar.days_cash_to_3m)::integer as d,
            isodow(cash_prompt) = 3 and day(cash_prompt) between 15 and 21 as is_third_wednesday_cash,
            price.cash_usd_t - price.m3_usd_t as cash_3m_spread_usd_t,
            case when spine.as_of_date - rate.obs_date <= max_age_days_rate then rate.rate_pct / 100 end as r,
            price.cash_usd_t * (r + financing_spread) * d / day_count + dated.rent_usd_t_day * d as full_carry_usd_t,
            quoted.* exclude (as_of_date, known, basis, licence), tick_usd_t,
            greatest(price.known, rate.known, quoted.known) as knowledge_ts_max,
            least(price.basis, rate.basis, quoted.basis) as knowledge_basis,
            least(price.licence, rate.licence, quoted.licence) as licence_class
        from spine
        cross join p
        join dated on spine.as_of_date = dated.calendar_date
        left join newest('prices', 45) as price using (as_of_date)
        left join calendar on price.obs_date = calendar.calendar_date
        left join newest('rates', 45) as rate using (as_of_date)
        left join quoted using (as_of_date)
    )
    select
        metal, as_of_date, as_of_ts, price_obs_date, rate_obs_date, rate_id, is_rate_stale, price_age_days, cash_usd_t, m3_usd_t,
        d as days_cash_to_3m, is_third_wednesday_cash, cash_3m_spread_usd_t,
        cash_3m_spread_usd_t / nullif(cash_usd_t, 0) * 365 / d as basis_ann,
        r as rate, full_carry_usd_t,
        -cash_3m_spread_usd_t / nullif(full_carry_usd_t, 0) as contango_share_of_full_carry,
        1 - contango_share_of_full_carry as carry_tightness,
        (cash_3m_spread_usd_t + full_carry_usd_t) / nullif(cash_usd_t, 0) * 365 / d as conv_yield_ann,
        quoted_cash_3m_usd_t, quoted_tom_next_usd_t, quoted_m3_m15_usd_t, quoted_dec_dec_usd_t,
        case when quoted_obs_date = price_obs_date
            then abs(quoted_cash_3m_usd_t - cash_3m_spread_usd_t) > tick_usd_t
        end as quoted_spread_disagrees,
        knowledge_ts_max, knowledge_basis, licence_class::varchar as licence_class
    from carried;

-- Days between the prompts of two legs: tomorrow and cash are the two business days after the trade, months are counted
-- from the trade's day.
create or replace table marts.curve_spreads_daily as
    with quoted as (
        select
            quote.*, quote.as_of_date - quote.obs_date as age,
            case
                when spread in ('CASH_TOM', 'TOM_NEXT') then trade.cash_prompt - cash.previous_business_day
                when spread = 'CASH_3M' then trade.days_cash_to_3m
                when spread = 'DEC_DEC' then (quote.obs_date + interval 1 year)::date - quote.obs_date
                else (quote.obs_date + to_months(legs[2]::int))::date - (quote.obs_date + to_months(legs[1]::int))::date
            end as days
        from newest('quoted_spreads', 45, series := spread) as quote
        join calendar as trade on quote.obs_date = trade.calendar_date
        join calendar as cash on trade.cash_prompt = cash.calendar_date
        cross join lateral (select regexp_extract_all(spread, '\d+') as legs)
    )
    select
        quoted.metal, spread, as_of_date, quoted.as_of_ts, quoted.obs_date as spread_obs_date,
        age::integer as spread_age_days, age > stale_days_spread as is_stale, usd_t, days::integer as days_between_prompts,
        curve.price_obs_date, curve.cash_usd_t, usd_t / nullif(curve.cash_usd_t, 0) * 365 / days as yield_ann,
        greatest(quoted.known, curve.knowledge_ts_max) as knowledge_ts_max,
        least(quoted.basis, curve.knowledge_basis) as knowledge_basis,
        least(quoted.licence, curve.licence_class::licence)::varchar as licence_class
    from quoted
    join marts.curve_daily as curve using (as_of_date)
    cross join p;
