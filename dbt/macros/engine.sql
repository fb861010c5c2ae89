{# Constructs that DuckDB and Spark write differently. All other SQL of the project is the same on both. #}

{# The time of the build: rows known later are left out. #}
{% macro as_of() -%} cast('{{ var("as_of") }}' as {{ type_instant() }}) {%- endmacro %}

{% macro far_future() -%} cast('9999-12-31T00:00:00Z' as {{ type_instant() }}) {%- endmacro %}

{% macro type_instant() -%} {{ return(adapter.dispatch('type_instant')()) }} {%- endmacro %}
{% macro default__type_instant() %}timestamptz{% endmacro %}
{% macro spark__type_instant() %}timestamp{% endmacro %}

{% macro type_text() -%} {{ return(adapter.dispatch('type_text')()) }} {%- endmacro %}
{% macro default__type_text() %}varchar{% endmacro %}
{% macro spark__type_text() %}string{% endmacro %}

{# A number and an instant as text, as DuckDB writes them: hashes and descriptions depend on it. Numbers from 1e-15 to 1e15;
   the text of an instant is in the session's time zone, which is UTC. #}
{% macro number_text(x) -%} {{ return(adapter.dispatch('number_text')(x)) }} {%- endmacro %}
{% macro default__number_text(x) -%} cast({{ x }} as varchar) {%- endmacro %}
{% macro spark__number_text(x) -%}
    case
        when abs({{ x }}) >= 1e7 then regexp_replace(
            regexp_replace(cast(cast(cast({{ x }} as string) as decimal(38, 12)) as string), '0+$', ''), '[.]$', '.0'
        )
        when abs({{ x }}) >= 1e-4 and abs({{ x }}) < 1e-3
            then regexp_replace(cast(cast(cast({{ x }} as string) as decimal(38, 30)) as string), '0+$', '')
        when {{ x }} <> 0 and abs({{ x }}) < 1e-4 then concat(
            regexp_replace(split(cast({{ x }} as string), 'E')[0], '[.]0$', ''), 'e-',
            lpad(split(cast({{ x }} as string), 'E-')[1], 2, '0')
        )
        else cast({{ x }} as string)
    end
{%- endmacro %}
{% macro instant_text(ts) -%} {{ return(adapter.dispatch('instant_text')(ts)) }} {%- endmacro %}
{% macro default__instant_text(ts) -%} cast({{ ts }} as varchar) {%- endmacro %}
{% macro spark__instant_text(ts) -%} concat(cast({{ ts }} as string), '+00') {%- endmacro %}

{# A window function over the values that are not NULL. #}
{% macro ignore_nulls(function, x) -%} {{ return(adapter.dispatch('ignore_nulls')(function, x)) }} {%- endmacro %}
{% macro default__ignore_nulls(function, x) -%} {{ function }}({{ x }} ignore nulls) {%- endmacro %}
{% macro spark__ignore_nulls(function, x) -%} {{ function }}({{ x }}) ignore nulls {%- endmacro %}

{# Parquet files as a relation. #}
{% macro parquet(glob) -%} {{ return(adapter.dispatch('parquet')(glob)) }} {%- endmacro %}
{% macro default__parquet(glob) -%}
    read_parquet('{{ glob }}', hive_partitioning = false, union_by_name = true)
{%- endmacro %}
{% macro spark__parquet(glob) -%} parquet.`{{ glob }}` {%- endmacro %}

{# A dataset of the lake. source() is called for the lineage only; the path is a variable of the run. #}
{% macro lake(name) -%}
    {%- set lineage = source('lake', name) -%}
    {{ return(adapter.dispatch('lake_rows')(name)) }}
{%- endmacro %}
{% macro default__lake_rows(name) -%} {{ parquet(var('lake') ~ '/' ~ name ~ '/*.parquet') }} {%- endmacro %}
{# A view with the columns of the dataset (pipelines/warehouse/spark.py): Spark overlooks the file of a dataset without rows. #}
{% macro spark__lake_rows(name) -%} lake_{{ name }} {%- endmacro %}

{# A reference table, from the validated Parquet copy of the run. #}
{% macro reference(name) -%}
    {%- set lineage = source('reference', name) -%}
    {{ parquet(var('reference') ~ '/' ~ name ~ '.parquet') }}
{%- endmacro %}

{# The numbers 0 to n, one a row. n may be a column. #}
{% macro numbers_to(n) -%} {{ return(adapter.dispatch('numbers_to')(n)) }} {%- endmacro %}
{% macro default__numbers_to(n) -%} unnest(generate_series(0, cast({{ n }} as bigint))) {%- endmacro %}
{% macro spark__numbers_to(n) -%} explode(sequence(0, cast({{ n }} as bigint))) {%- endmacro %}

{# An element of a list; the first one is 1. #}
{% macro element(items, n) -%} {{ return(adapter.dispatch('element')(items, n)) }} {%- endmacro %}
{% macro default__element(items, n) -%} {{ items }}[{{ n }}] {%- endmacro %}
{% macro spark__element(items, n) -%} element_at({{ items }}, cast({{ n }} as int)) {%- endmacro %}

{# The elements of a list, one a row, and their places from 0 on. #}
{% macro each_with_place(items, place, item) -%} {{ return(adapter.dispatch('each_with_place')(items, place, item)) }} {%- endmacro %}
{% macro default__each_with_place(items, place, item) -%}
unnest(range(len({{ items }}))) as {{ place }}, unnest({{ items }}) as {{ item }}
{%- endmacro %}
{% macro spark__each_with_place(items, place, item) -%} posexplode({{ items }}) as ({{ place }}, {{ item }}) {%- endmacro %}

{# A list of these expressions. #}
{% macro list_of_values(values) -%} {{ return(adapter.dispatch('list_of_values')(values)) }} {%- endmacro %}
{% macro default__list_of_values(values) -%} [{{ values | join(', ') }}] {%- endmacro %}
{% macro spark__list_of_values(values) -%} array({{ values | join(', ') }}) {%- endmacro %}

{# The numbers 1 to n as a list. #}
{% macro numbers_list(n) -%} {{ return(adapter.dispatch('numbers_list')(n)) }} {%- endmacro %}
{% macro default__numbers_list(n) -%} generate_series(1, {{ n }}) {%- endmacro %}
{% macro spark__numbers_list(n) -%} sequence(1, {{ n }}) {%- endmacro %}

{# The values of a list of expressions, one a row. #}
{% macro each_of(values) -%} {{ return(adapter.dispatch('each_of')(values)) }} {%- endmacro %}
{% macro default__each_of(values) -%} unnest([{{ values | join(', ') }}]) {%- endmacro %}
{% macro spark__each_of(values) -%} explode(array({{ values | join(', ') }})) {%- endmacro %}

{% macro days_between(later, earlier) -%} {{ return(adapter.dispatch('days_between')(later, earlier)) }} {%- endmacro %}
{% macro default__days_between(later, earlier) -%} ({{ later }} - {{ earlier }}) {%- endmacro %}
{% macro spark__days_between(later, earlier) -%} datediff({{ later }}, {{ earlier }}) {%- endmacro %}

{% macro days_before(day, n) -%} {{ return(adapter.dispatch('days_before')(day, n)) }} {%- endmacro %}
{% macro default__days_before(day, n) -%} cast({{ day }} - cast({{ n }} as integer) as date) {%- endmacro %}
{% macro spark__days_before(day, n) -%} date_sub({{ day }}, cast({{ n }} as int)) {%- endmacro %}

{# A number of months before a day; the number may be a column. #}
{% macro months_before(day, n) -%} {{ return(adapter.dispatch('months_before')(day, n)) }} {%- endmacro %}
{% macro default__months_before(day, n) -%} cast({{ day }} - to_months(cast({{ n }} as integer)) as date) {%- endmacro %}
{% macro spark__months_before(day, n) -%} add_months({{ day }}, -cast({{ n }} as int)) {%- endmacro %}

{# Whether a day is the third Wednesday of its month; 2008-01-02 was a Wednesday. #}
{% macro is_third_wednesday(day) -%}
(day({{ day }}) between 15 and 21 and {{ days_between(day, "cast('2008-01-02' as date)") }} % 7 = 0)
{%- endmacro %}

{# Months counted from year 0, so that a year before is 12 less. #}
{% macro month_index(day) -%} (year({{ day }}) * 12 + month({{ day }})) {%- endmacro %}

{# Numeric division that is NULL, never infinite or an error, where the divisor is 0. #}
{% macro ratio(numerator, divisor) -%} (({{ numerator }}) / nullif({{ divisor }}, 0)) {%- endmacro %}

{# The worst of several bases or licence classes; NULL inputs do not count. #}
{% macro worst_basis(columns) -%} {{ _worst(columns, ['OBSERVED', 'CALENDAR', 'ASSUMED']) }} {%- endmacro %}
{% macro worst_licence(columns) -%} {{ _worst(columns, ['OPEN', 'BYO', 'RESTRICTED']) }} {%- endmacro %}
{% macro _worst(columns, order) -%}
    case greatest(
        {%- for c in columns %} case {{ c }} {% for o in order %} when '{{ o }}' then {{ loop.index }} {% endfor %} else 0 end
        {%- if not loop.last %},{% endif %}{% endfor %}, 0)
        {% for o in order %} when {{ loop.index }} then '{{ o }}' {% endfor %} end
{%- endmacro %}

{# The latest of several instants; NULL inputs do not count (DuckDB skips them, Spark does too). #}
{% macro latest(columns) -%} greatest({{ columns | join(', ') }}) {%- endmacro %}

{# The worst basis or licence class of the rows of a group, or of the last rows of a window: partition_by, order_by, n. #}
{% macro worst_basis_of_group(window=none) -%}
    {{ _worst_of_group('knowledge_basis', ['ASSUMED', 'CALENDAR', 'OBSERVED'], window) }}
{%- endmacro %}
{% macro worst_licence_of_group(window=none) -%}
    {{ _worst_of_group('licence_class', ['RESTRICTED', 'BYO', 'OPEN'], window) }}
{%- endmacro %}
{% macro _worst_of_group(column, order, window) -%}
    case
        {%- for o in order %}
        {%- set is_it = "case when " ~ column ~ " = '" ~ o ~ "' then 1 end" %}
        when {{ over_last('max', is_it, *window) if window else 'max(' ~ is_it ~ ')' }} = 1 then '{{ o }}'
        {%- endfor %}
    end
{%- endmacro %}

{# An aggregate of x over the last n rows of its partition, this row included; n may be a column.
   aggregate: count, min, max, median, mad or quantile (of the share `at`, interpolated). Spark's frames take constants only: there the rows are a list. #}
{% macro over_last(aggregate, x, partition_by, order_by, n, at=none) -%}
    {{ return(adapter.dispatch('over_last')(aggregate, x, partition_by, order_by, n, at)) }}
{%- endmacro %}
{% macro default__over_last(aggregate, x, partition_by, order_by, n, at) -%}
{{ 'quantile_cont(' ~ x ~ ', ' ~ at ~ ')' if at else aggregate ~ '(' ~ x ~ ')' }} over (partition by {{ partition_by }} order by {{ order_by }} {{ last_rows(n) }})
{%- endmacro %}
{% macro spark__over_last(aggregate, x, partition_by, order_by, n, at) -%}
{%- set items = last_values(x, partition_by, order_by, n) -%}
{%- if aggregate == 'count' -%} {{ 'cast(size(' ~ items ~ ') as bigint)' }}
{%- elif aggregate in ('min', 'max') -%} {{ 'array_' ~ aggregate ~ '(' ~ items ~ ')' }}
{%- elif aggregate == 'median' -%} {{ list_quantile(items, 0.5) }}
{%- elif aggregate == 'quantile' -%} {{ list_quantile(items, at) }}
{%- elif aggregate == 'mad' -%}
{{ with_value(
    'named_struct(\'items\', ' ~ items ~ ', \'median\', ' ~ list_quantile(items, 0.5) ~ ')', 'g',
    list_quantile('transform(g.items, x -> abs(x - g.median))', 0.5)
) }}
{%- else -%} {{ exceptions.raise_compiler_error('over_last has no ' ~ aggregate ~ ' for Spark: add it') }}
{%- endif -%}
{%- endmacro %}

{# The frame of the last n rows, this one included, for DuckDB. #}
{% macro last_rows(n) -%} {{ return(adapter.dispatch('last_rows')(n)) }} {%- endmacro %}
{% macro default__last_rows(n) -%} rows between cast({{ n }} as integer) - 1 preceding and current row {%- endmacro %}

{# The values of x in the last n rows that are not missing, as a list, for Spark. A missing one takes up a row. #}
{% macro last_values(x, partition_by, order_by, n) -%}
{%- set window = 'over (partition by ' ~ partition_by ~ ' order by ' ~ order_by ~ ' rows between unbounded preceding and current row)' -%}
{%- if n == all_rows() -%} collect_list({{ x }}) {{ window }}
{%- else -%}
array_compact(slice(
    collect_list(named_struct('x', {{ x }})) {{ window }},
    -least(cast({{ n }} as int), cast(count(*) {{ window }} as int)), cast({{ n }} as int)
).x)
{%- endif -%}
{%- endmacro %}

{# The value below which a share of a list without NULLs lies, interpolated, for Spark: NULL for an empty list. #}
{% macro list_quantile(items, share) -%}
{%- set place = '(size(s) - 1) * cast(' ~ share ~ ' as double)' -%}
{%- set below = 'get(s, cast(floor(' ~ place ~ ') as int))' -%}
{{ with_value('sort_array(' ~ items ~ ')', 's',
    below ~ ' + (get(s, cast(ceil(' ~ place ~ ') as int)) - ' ~ below ~ ') * (' ~ place ~ ' - floor(' ~ place ~ '))') }}
{%- endmacro %}

{# An expression over a value that is computed once, for Spark. #}
{% macro with_value(value, name, expression) -%}
element_at(transform(array({{ value }}), {{ name }} -> {{ expression }}), 1)
{%- endmacro %}

{# A sum or mean whose terms are added in a fixed order: otherwise the last bit differs from run to run, and a run on
   unchanged input would publish other numbers. #}
{% macro ordered_sum(x, order_by) -%} {{ return(adapter.dispatch('ordered_sum')(x, order_by)) }} {%- endmacro %}
{% macro default__ordered_sum(x, order_by) -%} sum({{ x }} order by {{ order_by }} asc nulls last) {%- endmacro %}
{% macro spark__ordered_sum(x, order_by) -%}
    aggregate(
        array_sort(collect_list(struct({{ order_by }} as o, {{ x }} as x))), cast(null as double),
        (a, e) -> case when e.x is null then a else coalesce(a, cast(0 as double)) + e.x end
    )
{%- endmacro %}

{% macro ordered_mean(x, order_by) -%} ({{ ordered_sum(x, order_by) }} / nullif(count({{ x }}), 0)) {%- endmacro %}

{# The texts of a group as one, in order; NULL without any. #}
{% macro joined(text, separator, order_by) -%} {{ return(adapter.dispatch('joined')(text, separator, order_by)) }} {%- endmacro %}
{% macro default__joined(text, separator, order_by) -%}
    string_agg({{ text }}, '{{ separator }}' order by {{ order_by }} asc nulls last)
{%- endmacro %}
{% macro spark__joined(text, separator, order_by) -%}
    listagg({{ text }}, '{{ separator }}') within group (order by {{ order_by }} asc nulls last)
{%- endmacro %}

{# The rows of a group as a list of structs, in any order. #}
{% macro list_of(fields) -%} {{ return(adapter.dispatch('list_of')(fields)) }} {%- endmacro %}
{% macro default__list_of(fields) -%}
    list({ {%- for f in fields %}'{{ f }}': {{ f }}{% if not loop.last %}, {% endif %}{% endfor -%} })
{%- endmacro %}
{% macro spark__list_of(fields) -%} collect_list(struct({{ fields | join(', ') }})) {%- endmacro %}

{# The lists of a group as one, sorted by the first field. #}
{% macro sorted_lists(lists) -%} {{ return(adapter.dispatch('sorted_lists')(lists)) }} {%- endmacro %}
{% macro default__sorted_lists(lists) -%} list_sort(flatten(list({{ lists }}))) {%- endmacro %}
{% macro spark__sorted_lists(lists) -%} array_sort(flatten(collect_list({{ lists }}))) {%- endmacro %}

{# The sum of an expression over the elements of a list, `x`, in their order. #}
{% macro list_total(elements, expression) -%} {{ return(adapter.dispatch('list_total')(elements, expression)) }} {%- endmacro %}
{% macro default__list_total(elements, expression) -%}
    list_sum([{{ expression }} for x in {{ elements }}])
{%- endmacro %}
{% macro spark__list_total(elements, expression) -%}
    aggregate({{ elements }}, cast(0 as double), (a, x) -> a + {{ expression }})
{%- endmacro %}

{# Points with the number of market time units that each covers: up to the next one, the last one to the end. #}
{% macro covering_units(points, n_positions) -%} {{ return(adapter.dispatch('covering_units')(points, n_positions)) }} {%- endmacro %}
{% macro default__covering_units(points, n_positions) -%}
    [
        {
            'price_eur_mwh': x.price_eur_mwh,
            'n_units': coalesce({{ points }}[i + 1].position, {{ n_positions }} + 1) - x.position
        }
        for x, i in {{ points }}
    ]
{%- endmacro %}
{% macro spark__covering_units(points, n_positions) -%}
    transform({{ points }}, (x, i) -> struct(
        x.price_eur_mwh as price_eur_mwh,
        coalesce(get({{ points }}, i + 1).position, {{ n_positions }} + 1) - x.position as n_units
    ))
{%- endmacro %}

{# The Monday of a week. #}
{% macro first_of_week(day) -%} cast(date_trunc('week', {{ day }}) as date) {%- endmacro %}

{# The first day of a month, and a day's year and month as one number: 202601. #}
{% macro first_of_month(day) -%} cast(date_trunc('month', {{ day }}) as date) {%- endmacro %}
{% macro year_month(day) -%} (year({{ day }}) * 100 + month({{ day }})) {%- endmacro %}

{% macro epoch_seconds(ts) -%} {{ return(adapter.dispatch('epoch_seconds')(ts)) }} {%- endmacro %}
{% macro default__epoch_seconds(ts) -%} cast(epoch({{ ts }}) as bigint) {%- endmacro %}
{% macro spark__epoch_seconds(ts) -%} unix_timestamp({{ ts }}) {%- endmacro %}
