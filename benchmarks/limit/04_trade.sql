-- Trade and output: marts.exports_monthly, marts.supply_monthly, marts.arbitrage_daily, marts.us_parity_daily.

-- Exports by period as known after each release. Frames count months, so that a figure for two months counts as two.
create temp table export_changes as
    with known as (
        select release.known_from as release_ts, exports.*, year(period_end) * 12 + month(period_end) as month_no
        from (select distinct country, known_from from exports) as release
        join exports on release.country = exports.country
            and release.known_from >= exports.known_from and release.known_from < exports.known_to
    ),
    based as (
        select
            known.*, base.exports_kt as base_kt, greatest(known.known_from, base.known_from) as change_known,
            known.is_suspect or coalesce(base.is_suspect, false) as rests_on_suspect
        from known
        left join known as base
            on known.country = base.country and known.release_ts = base.release_ts
                and known.month_no - 12 = base.month_no and known.period_months = base.period_months
    )
    select
        country, release_ts, period_end, known_from, basis, licence, change_known as yoy_known,
        exports_kt / nullif(base_kt, 0) - 1 as exports_yoy,
        case
            when sum(period_months) over quarter >= 3 and count(base_kt) over quarter = count(*) over quarter
                and sum(period_months) over quarter = month_no - min(month_no - period_months) over quarter
                then sum(exports_kt) over quarter / nullif(sum(base_kt) over quarter, 0) - 1
        end as exports_yoy_3m,
        bool_or(rests_on_suspect) over quarter as is_suspect,
        max(change_known) over quarter as yoy_3m_known,
        case
            when sum(period_months) filter (base_kt is not null) over so_far = month(period_end)
                then sum(exports_kt) over so_far / nullif(sum(base_kt) over so_far, 0) - 1
        end as exports_ytd_yoy,
        bool_or(rests_on_suspect) over so_far as is_ytd_suspect,
        max(change_known) over so_far as ytd_known
    from based
    window
        quarter as (partition by country, release_ts order by month_no range between 2 preceding and current row),
        so_far as (partition by country, release_ts, year(period_end) order by month_no);

-- The latest period of each release, ranked among those before it.
create temp macro below(xs) as len(list_filter(xs, lambda x: x < xs[1])) + len(list_filter(xs, lambda x: x <= xs[1]));
create temp macro rank_of(xs, least) as case
    when xs[1] is not null and list_count(xs) >= least then below(xs) / 2.0 / list_count(xs)
end;
create temp table exports_latest as
    with releases as (
        select
            unnest(max_by(change, period_end)),
            list(exports_yoy_3m order by period_end desc) as xs, list(period_end order by period_end desc) as periods
        from export_changes as change
        group by country, release_ts
    ),
    windows as (
        select *, rank_min_periods_monthly::int as least, xs[:rank_window_monthly::int] as history,
            exports_drop_prints::int as prints, exports_drop
        from releases, p
    )
    select
        * exclude (xs, periods, history, least, prints, exports_drop),
        list_count(history) as n_ranked,
        rank_of(history, least) as percentile,
        rank_of(xs, least) as percentile_all,
        case when n_ranked >= least then list_aggregate(history, 'median') end as median,
        case when n_ranked >= least then list_aggregate(history, 'mad') end as mad,
        rank_of(xs[:24], least) as rank_2y, rank_of(xs[:60], least) as rank_5y, rank_of(xs[:120], least) as rank_10y,
        list_min([period for period, i in periods[:len(history)] if history[i] is not null]) as ranked_from,
        case
            when len(list_filter(xs[:prints], lambda x: x <= exports_drop)) >= prints then 'ON'
            when len(list_filter(xs[:prints], lambda x: x > exports_drop)) > 0 then 'OFF'
        end as drop_state
    from windows;

create or replace table marts.exports_monthly as
    select
        exports.metal, exports.country, exports.period_end, exports.vintage_no,
        exports.period_months::integer as period_months, exports.exports_kt,
        change.exports_yoy, change.exports_yoy_3m, change.exports_ytd_yoy,
        1 - latest.percentile as score_exports_yoy_3m, latest.n_ranked::integer as n_hist,
        exports.known_from as knowledge_ts, exports.basis as knowledge_basis, exports.source,
        exports.licence::varchar as licence_class
    from exports
    join export_changes as change
        on exports.country = change.country and exports.period_end = change.period_end
            and exports.known_from = change.release_ts
    left join exports_latest as latest
        on exports.country = latest.country and exports.period_end = latest.period_end
            and exports.known_from = latest.release_ts;

create temp table exports_asof as
    select spine.as_of_date, latest.*
    from spine
    cross join (select distinct country from exports) as countries
    asof join exports_latest as latest
        on countries.country = latest.country and spine.as_of_ts >= latest.release_ts;

create temp table output as
    select
        production.*, period_end as obs_date,
        period_end - date_trunc('month', period_end - to_months((period_months - 1)::int))::date + 1 as n_days,
        production_kt / n_days * 365 as annualised_kt,
        case when country = 'CN' then dated.china_cap_t end as cap_t,
        annualised_kt * 1000 / nullif(cap_t, 0) as cap_utilisation,
        year(period_end) * 12 + month(period_end) as month_no
    from production
    join dated on period_end = dated.calendar_date;

create or replace table marts.supply_monthly as
    select
        output.metal, output.country, output.period_end, output.period_months::integer as period_months,
        output.n_days::integer as n_days, output.production_kt, output.annualised_kt, output.cap_t / 1000 as cap_kt,
        output.cap_utilisation, output.production_kt / nullif(base.production_kt, 0) - 1 as production_yoy,
        output.known_from as knowledge_ts, greatest(output.known_from, base.known_from) as knowledge_ts_max,
        output.vintage_no, output.is_suspect, output.source,
        output.basis as knowledge_basis, output.licence::varchar as licence_class
    from output
    left join output as base
        on output.country = base.country and output.month_no - 12 = base.month_no
            and output.period_months = base.period_months and base.known_to = 'infinity'
    where output.known_to = 'infinity';

create or replace table marts.arbitrage_daily as
    with tax as (
        select
            as_of_date,
            max_by(rate, (schedule.metal, valid_from)) filter (where tax = 'VAT') as vat,
            max_by(rate, (schedule.metal, valid_from)) filter (where tax = 'IMPORT_DUTY') as import_duty,
            max_by(rate, (schedule.metal, valid_from)) filter (where tax = 'SEMIS_EXPORT_REBATE') as semis_rebate
        from spine
        join of_metal('tax_schedule') as schedule on valid_from <= as_of_date and country = 'CN'
        group by as_of_date
    ),
    computed as (
        select
            quote.metal, quote.as_of_date, quote.as_of_ts, quote.obs_date as arb_obs_date,
            price.obs_date as price_obs_date, quote.shfe_cny_t, price.m3_usd_t as lme_usd_t, quote.cif_premium_usd_t,
            quote.usdcny, quote.dest_premium_usd_t, quote.freight_usd_t, vat, import_duty, semis_rebate, port_cny_t,
            shfe_cny_t - (
                (lme_usd_t + cif_premium_usd_t) * usdcny * (1 + import_duty) * (1 + vat) + port_cny_t
            ) as import_arb_cny_t,
            shfe_cny_t / nullif(lme_usd_t, 0) as shfe_lme_ratio,
            (lme_usd_t + dest_premium_usd_t - freight_usd_t)
            - (shfe_cny_t - shfe_cny_t / (1 + vat) * semis_rebate) / nullif(usdcny, 0) as semis_export_arb_usd_t,
            greatest(quote.known, price.known) as knowledge_ts_max,
            least(quote.basis, price.basis) as knowledge_basis,
            least(quote.licence, price.licence)::varchar as licence_class,
            arb_shut_days
        from newest('arbitrage', 45) as quote
        cross join p
        left join newest('m3', 45) as price using (as_of_date)
        left join tax using (as_of_date)
    )
    select
        * exclude (knowledge_ts_max, knowledge_basis, licence_class, arb_shut_days),
        case
            when count_if(semis_export_arb_usd_t < 0) over w >= arb_shut_days then 'SHUT'
            when count_if(semis_export_arb_usd_t >= 0) over w > 0 then 'OPEN'
        end as export_window,
        knowledge_ts_max, knowledge_basis, licence_class
    from computed
    window w as (
        order by as_of_date rows between (select arb_shut_days::int - 1 from p) preceding and current row
    );

create or replace table marts.us_parity_daily as
    with tariff as (
        select as_of_date, max_by(rate, (schedule.metal, valid_from)) as section_232
        from spine
        join of_metal('tax_schedule') as schedule
            on valid_from <= as_of_date and country = 'US' and tax = 'SECTION_232'
        group by as_of_date
    ),
    premium as (
        select
            as_of_date, max(usd_t) filter (region = 'US_MIDWEST') as midwest,
            max(obs_date) filter (region = 'US_MIDWEST') as midwest_obs_date,
            max(usd_t) filter (region = 'EU_DUTY_UNPAID') as unpaid,
            max(obs_date) filter (region = 'EU_DUTY_UNPAID') as unpaid_obs_date,
            max(known) as known, min(basis) as basis, min(licence) as licence
        from newest('premia', 45, series := region)
        where region in ('US_MIDWEST', 'EU_DUTY_UNPAID')
        group by as_of_date
    )
    select
        curve.metal, as_of_date, curve.as_of_ts, curve.price_obs_date, midwest_obs_date, unpaid_obs_date,
        curve.cash_usd_t, midwest as midwest_premium_usd_t, unpaid as unpaid_premium_usd_t, us_freight_usd_t,
        section_232, (curve.cash_usd_t + unpaid + us_freight_usd_t) * (1 + section_232) as replacement_usd_t,
        curve.cash_usd_t + midwest as us_price_usd_t, us_price_usd_t - replacement_usd_t as parity_gap_usd_t,
        greatest(premium.known, curve.knowledge_ts_max) as knowledge_ts_max,
        least(premium.basis, curve.knowledge_basis) as knowledge_basis,
        least(premium.licence, curve.licence_class::licence)::varchar as licence_class
    from premium
    join marts.curve_daily as curve using (as_of_date)
    left join tariff using (as_of_date)
    cross join p;
