with sums as (
    select signal_id, signal_version, as_of_ts, sum(contribution) as total
    from {{ built_rows(ref('signal_contributions')) }}
    group by signal_id, signal_version, as_of_ts
)

select signals.signal_id, signals.as_of_ts, signals.value, sums.total
from {{ built_rows(ref('signal_candidates')) }} as signals
left join sums
    on
        signals.signal_id = sums.signal_id
        and signals.signal_version = sums.signal_version
        and signals.as_of_ts = sums.as_of_ts
where
    signals.value is not null
    and (sums.total is null or abs(sums.total - signals.value) > 1e-9 * greatest(1, abs(signals.value)))
