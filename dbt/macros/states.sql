{# State of the level machine: ABOVE, INSIDE, BELOW (docs/methodology.md#levels-and-states).

   A price sustained beyond a level sets the state; the state ends only when sustained back across that same level.
   The last event decides, so window functions are enough and no fold is needed.
   above_up … below_down: booleans, sustained on this row; `w`: a window over the rows up to this one. #}
{% macro level_state(above_up, below_up, above_down, below_down, n, w) -%}
{%- set since_above = "coalesce(max(case when " ~ above_up ~ " then " ~ n ~ " end) over " ~ w ~ ", 0)" -%}
{%- set since_below = "coalesce(max(case when " ~ below_down ~ " then " ~ n ~ " end) over " ~ w ~ ", 0)" -%}
{%- set left_above = "coalesce(max(case when " ~ below_up ~ " then " ~ n ~ " end) over " ~ w ~ ", 0)" -%}
{%- set left_below = "coalesce(max(case when " ~ above_down ~ " then " ~ n ~ " end) over " ~ w ~ ", 0)" -%}
    case
        when {{ since_above }} > {{ since_below }} and {{ left_above }} <= {{ since_above }} then 'ABOVE'
        when {{ since_below }} > {{ since_above }} and {{ left_below }} <= {{ since_below }} then 'BELOW'
        else 'INSIDE'
    end
{%- endmacro %}

{# Fold of an ordered list with an initial state. #}
{% macro fold(items, initial, a, b, body) -%} {{ return(adapter.dispatch('fold')(items, initial, a, b, body)) }} {%- endmacro %}
{% macro default__fold(items, initial, a, b, body) -%}
    list_reduce({{ items }}, lambda {{ a }}, {{ b }}: {{ body }}, {{ initial }})
{%- endmacro %}
{% macro spark__fold(items, initial, a, b, body) -%}
    aggregate({{ items }}, {{ initial }}, ({{ a }}, {{ b }}) -> {{ body }})
{%- endmacro %}

{# The states that a fold over the days of each version of the index goes through, as a subquery: after the first n days,
   from 0 on, is `state`. `days`: metal, version, n and the columns of an item; `begun`: its state before the first day, in
   columns. A state is `a`, an item `d`; item, next: fields by name, types: those of a state.
   Items come in lists of 64, so that the states so far are copied once for each of these and not for each day. #}
{% macro folded(days, begun, item, next, types) -%}
{%- set first, resumed, before, last = {}, {}, {}, {} -%}
{%- for name in types -%}
{%- do first.update({name: 'begun.' ~ name}) -%}
{%- do resumed.update({name: 'o.last.' ~ name}) -%}
{%- do before.update({name: 'a.' ~ name}) -%}
{%- do last.update({name: 'result.last.' ~ name}) -%}
{%- endfor -%}
{%- set states = 'result.states || result.last.states || ' ~ list_of_values([struct(last)]) -%}
{%- set no_states = {'states': empty_list(types)} -%}
(
    select metal, version, {{ each_with_place(states, 'n', 'state') }}
    from (
        select
            lists.metal,
            lists.version,
            {{ fold(
                'lists.lists', struct(dict(no_states, last=struct(dict(first, **no_states)))), 'o', 'items',
                struct({
                    'states': 'o.states || o.last.states',
                    'last': fold(
                        'items', struct(dict(resumed, **no_states)), 'a', 'd',
                        struct(dict(next, states=appended('a.states', struct(before))))
                    ),
                })
            ) }} as result
        from (
            select metal, version, {{ ordered_list('items', 'part') }} as lists
            from (
                select
                    metal,
                    version,
                    cast(floor((n - 1) / 64) as integer) as part,
                    {{ ordered_list(struct(item), 'n') }} as items
                from {{ days }}
                group by metal, version, part
            ) as parts
            group by metal, version
        ) as lists
        inner join {{ begun }} as begun on lists.metal = begun.metal and lists.version = begun.version
    ) as folds
)
{%- endmacro %}

{% macro struct(fields) -%} {{ return(adapter.dispatch('struct')(fields)) }} {%- endmacro %}
{% macro default__struct(fields) -%}
    { {%- for name, value in fields.items() %} '{{ name }}': {{ value }}{% if not loop.last %},{% endif %}{% endfor -%} }
{%- endmacro %}
{% macro spark__struct(fields) -%}
    named_struct({% for name, value in fields.items() %}'{{ name }}', {{ value }}{% if not loop.last %}, {% endif %}{% endfor %})
{%- endmacro %}

{# An expression over the rows of a group, as an ordered list. #}
{% macro ordered_list(x, order_by) -%} {{ return(adapter.dispatch('ordered_list')(x, order_by)) }} {%- endmacro %}
{% macro default__ordered_list(x, order_by) -%} list({{ x }} order by {{ order_by }} asc nulls last) {%- endmacro %}
{% macro spark__ordered_list(x, order_by) -%}
    transform(array_sort(collect_list(struct({{ order_by }} as o, {{ x }} as x))), e -> e.x)
{%- endmacro %}

{# An empty list of structs: types by field. #}
{% macro empty_list(types) -%} {{ return(adapter.dispatch('empty_list')(types)) }} {%- endmacro %}
{% macro default__empty_list(types) -%}
    cast([] as struct({% for name, type in types.items() %}{{ name }} {{ type }}{% if not loop.last %}, {% endif %}{% endfor %})[])
{%- endmacro %}
{% macro spark__empty_list(types) -%}
    cast(array() as array<struct<{% for name, type in types.items() %}{{ name }}: {{ type }}{% if not loop.last %}, {% endif %}{% endfor %}>>)
{%- endmacro %}

{% macro appended(items, item) -%} {{ return(adapter.dispatch('appended')(items, item)) }} {%- endmacro %}
{% macro default__appended(items, item) -%} list_append({{ items }}, {{ item }}) {%- endmacro %}
{% macro spark__appended(items, item) -%} array_append({{ items }}, {{ item }}) {%- endmacro %}

{# The two published parameterisations of the level machine: name, k, m. #}
{% macro level_variants() -%}
    {{ return([('5of5', 'level_k', 'level_m'), ('3of5', 'level_alt_k', 'level_alt_m')]) }}
{%- endmacro %}

{# Levels that the prices of a group are sustained beyond, k of the last m and the latest included: a boolean for each
   crossing and variant, and whether the levels count yet. `p`: parameters; recency: 1 for the latest price. Prices from
   before the first day of a level may be among the m. #}
{% macro level_moves(price, recency) -%}
    max(p.level_up) is not null and max(p.level_down) is not null as has_levels
    {%- for variant, k, m in level_variants() -%}
    {%- for crossing, test in level_crossings(price) -%}
    ,
        count(*) filter (where {{ recency }} <= p.{{ m }}) >= max(p.{{ m }})
        and count(*) filter (where {{ recency }} <= p.{{ m }} and {{ test }}) >= max(p.{{ k }})
        and count(*) filter (where {{ recency }} = 1 and {{ test }}) = 1 as {{ crossing }}_{{ variant }}
    {%- endfor -%}{%- endfor -%}
{%- endmacro %}

{# The four crossings that move the level machine: name, side, level parameter, SQL test of a price. #}
{% macro level_crossings(price) -%}
    {{ return([
        ('above_up', price ~ ' > p.level_up * (1 + p.level_buffer)'),
        ('below_up', price ~ ' < p.level_up * (1 - p.level_buffer)'),
        ('above_down', price ~ ' > p.level_down * (1 + p.level_buffer)'),
        ('below_down', price ~ ' < p.level_down * (1 - p.level_buffer)'),
    ]) }}
{%- endmacro %}

{# Where a value leads from a regime, as the place in the list of int_regime_daily. #}
{% macro regime_after(regime) -%}
case
    when x >= {{ 'exit_squeeze' if regime == 'SQUEEZE' else 'enter_squeeze' }} and may_squeeze then 4
    when x >= {{ 'exit_tight' if regime in ('TIGHT', 'SQUEEZE') else 'enter_tight' }} then 3
    when x <= {{ 'exit_loose' if regime == 'LOOSE' else 'enter_loose' }} then 1
    else 2
end
{%- endmacro %}
