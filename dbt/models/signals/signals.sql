-- The append-only log of published signals: a run that changes nothing adds nothing; one that changes a published row
-- adds its next revision, with the reason.
{{ config(materialized='append_only') }}

{% set content = [
    'kind', 'value', 'unit', 'score', 'state', 'direction', 'prev_state', 'state_since', 'is_transition', 'coverage',
    'n_hist', 'n_components', 'obs_end_max', 'knowledge_ts_max', 'staleness_days', 'quality', 'quality_flags',
    'knowledge_basis', 'licence_class', 'params_hash',
] %}
with candidates as (
    select * from {{ built_rows(ref('signal_candidates')) }}
),

published as (
    select *
    from {{ built_rows(this) }} as log
    qualify row_number() over (
        partition by signal_id, signal_version, metal, region, as_of_ts order by revision_no desc nulls last
    ) = 1
)

select
    candidates.signal_id,
    candidates.signal_version,
    candidates.metal,
    candidates.region,
    candidates.as_of_ts,
    candidates.as_of_date,
    cast(coalesce(published.revision_no, 0) + 1 as integer) as revision_no,
    case
        when published.signal_id is null then 'first publication'
        when candidates.params_hash <> published.params_hash then 'a parameter changed'
        when
            (candidates.knowledge_ts_max is distinct from published.knowledge_ts_max)
            or (candidates.obs_end_max is distinct from published.obs_end_max)
            or published.code_version = '{{ var("code_version") }}'
            then 'an input changed'
        else 'a rule changed'
    end as revision_reason,
    candidates.kind,
    candidates.value,
    candidates.unit,
    candidates.score,
    candidates.state,
    candidates.direction,
    candidates.prev_state,
    candidates.state_since,
    candidates.is_transition,
    candidates.coverage,
    candidates.n_hist,
    candidates.n_components,
    candidates.obs_end_max,
    candidates.knowledge_ts_max,
    candidates.staleness_days,
    candidates.quality,
    candidates.quality_flags,
    candidates.knowledge_basis,
    candidates.licence_class,
    candidates.params_hash,
    candidates.inputs_hash,
    '{{ var("code_version") }}' as code_version,
    '{{ var("run_id") }}' as run_id,
    {{ as_of() }} as computed_ts
from candidates
left join published
    on
        candidates.signal_id = published.signal_id
        and candidates.signal_version = published.signal_version
        and candidates.metal = published.metal
        and candidates.region = published.region
        and candidates.as_of_ts = published.as_of_ts
where
    published.signal_id is null
    {% for c in content -%}
    or candidates.{{ c }} is distinct from published.{{ c }}
    {% endfor %}
