{# One row for each metal and decision day: the first principal component of the family scores of version 2, 0 to 100.

   Its loadings are fitted at the beginning of each month, to the covariances of all decision days before it; a pair of
   families counts once it has rank_min_periods_v2 common days. Higher is tighter in every family, so that the sign is the
   one with which the loadings add up to more than 0. A challenger of the index: no signal and no verdict rests on it. #}
{% macro pca_daily() -%}
{% set families = published_families_v2() %}
{% set n = families | length %}
with days as (
    select
        metal,
        as_of_date,
        {{ first_of_month('as_of_date') }} as first_of_month,
        {% for family in families -%}
        max(family_score) filter (where lower(family) = '{{ family }}') as x{{ loop.index }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from {{ window_rows(ref('int_index_families'), ['metal', 'version', 'family'], none) }} as scores
    where version = 2
    group by metal, as_of_date
),

-- Sums of a month, of each pair of families on the days that have both.
months as (
    select
        metal,
        first_of_month,
        {% for i in range(1, n + 1) -%}{% for j in range(i, n + 1) -%}
        count(x{{ i }} * x{{ j }}) as n_{{ i }}_{{ j }},
        {{ ordered_sum('case when x' ~ j ~ ' is not null then x' ~ i ~ ' end', 'as_of_date') }} as x_{{ i }}_{{ j }},
        {{ ordered_sum('case when x' ~ i ~ ' is not null then x' ~ j ~ ' end', 'as_of_date') }} as y_{{ i }}_{{ j }},
        {{ ordered_sum('x' ~ i ~ ' * x' ~ j, 'as_of_date') }} as xy_{{ i }}_{{ j }},
        {% endfor %}{% endfor -%}
        max(as_of_date) as last_day
    from days
    group by metal, first_of_month
),

sums as (
    select
        metal,
        first_of_month,
        {% for i in range(1, n + 1) -%}{% for j in range(i, n + 1) -%}{% for name in ['n', 'x', 'y', 'xy'] -%}
        sum({{ name }}_{{ i }}_{{ j }}) over before as {{ name }}_{{ i }}_{{ j }},
        {% endfor %}{% endfor %}{% endfor -%}
        last_day
    from months
    window before as (
        partition by metal order by first_of_month asc nulls last rows between unbounded preceding and 1 preceding
    )
),

-- Row by row. Divided by the trace before each step, its square tends to the product of the first component with itself.
squared as (
    select
        sums.metal,
        sums.first_of_month,
        {{ fold(
            numbers_list(30),
            covariances(n, 'p.rank_min_periods_v2'),
            'a', 'k',
            squared_matrix('a', n)
        ) }} as m
    from sums
    inner join {{ ref('int_parameters') }} as p
        on sums.metal = p.metal and sums.first_of_month = p.calendar_date
),

loadings as (
    select
        metal,
        first_of_month,
        {% for i in range(1, n + 1) -%}
        {% for j in range(1, n + 1) %}{{ element('m', (i - 1) * n + j) }}{% if not loop.last %} + {% endif %}{% endfor %} as w{{ i }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from squared
),

weighted as (
    select
        days.metal,
        days.as_of_date,
        {% for i in range(1, n + 1) %}case when days.x{{ i }} is not null then loadings.w{{ i }} * (days.x{{ i }} - 0.5) else 0 end
        {%- if not loop.last %} + {% endif %}{% endfor %} as total,
        {% for i in range(1, n + 1) %}case when days.x{{ i }} is not null then abs(loadings.w{{ i }}) else 0 end
        {%- if not loop.last %} + {% endif %}{% endfor %} as available,
        {% for i in range(1, n + 1) %}abs(loadings.w{{ i }}){% if not loop.last %} + {% endif %}{% endfor %} as configured
    from days
    inner join loadings on days.metal = loadings.metal and days.first_of_month = loadings.first_of_month
)

select
    weighted.metal,
    weighted.as_of_date,
    case when weighted.available >= p.min_coverage_v2 * weighted.configured then
        50 + 100 * {{ ratio('weighted.total', 'weighted.available') }}
    end as index_pca
from weighted
inner join {{ ref('int_parameters') }} as p
    on weighted.metal = p.metal and weighted.as_of_date = p.calendar_date
{%- endmacro %}

{# The covariances of `sums` as a list, row by row; 0 where a pair has too few days, or its family none. #}
{% macro covariances(n, min_days) -%}
{%- set cells = [] -%}
{%- for i in range(1, n + 1) -%}{%- for j in range(1, n + 1) -%}
{%- set pair = [i, j] | min ~ '_' ~ [i, j] | max -%}
{%- do cells.append(
    'case when sums.n_' ~ pair ~ ' >= ' ~ min_days ~ ' then sums.xy_' ~ pair ~ ' / sums.n_' ~ pair
    ~ ' - (sums.x_' ~ pair ~ ' / sums.n_' ~ pair ~ ') * (sums.y_' ~ pair ~ ' / sums.n_' ~ pair ~ ') else 0.0e0 end'
) -%}
{%- endfor -%}{%- endfor -%}
{{ list_of_values(cells) }}
{%- endmacro %}

{# The square of a matrix that is divided by its trace, as a list, row by row. #}
{% macro squared_matrix(m, n) -%}
{%- set trace, cells = [], [] -%}
{%- for i in range(1, n + 1) -%} {%- do trace.append(element(m, (i - 1) * n + i)) -%} {%- endfor -%}
{%- set trace = '(' ~ trace | join(' + ') ~ ')' -%}
{%- for i in range(1, n + 1) -%}{%- for j in range(1, n + 1) -%}
{%- set terms = [] -%}
{%- for k in range(1, n + 1) -%}
{%- do terms.append(element(m, (i - 1) * n + k) ~ ' * ' ~ element(m, (k - 1) * n + j)) -%}
{%- endfor -%}
{%- do cells.append('(' ~ terms | join(' + ') ~ ') / nullif(' ~ trace ~ ' * ' ~ trace ~ ', 0)') -%}
{%- endfor -%}{%- endfor -%}
{{ list_of_values(cells) }}
{%- endmacro %}
