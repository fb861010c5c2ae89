{# The verdict of a value on a claim. APPROX and EQ: SUPPORTED within the tolerance; APPROX is PARTIAL within three of
   them and on the same side of zero. GT, GE, LT, LE: SUPPORTED when true, PARTIAL when missed by the tolerance or less.
   BETWEEN: SUPPORTED inside, PARTIAL within the tolerance of an end. Else CONTRADICTED. #}
{% macro verdict(value, claim) -%}
case
    when {{ claim }}.operator in ('APPROX', 'EQ') and abs({{ value }} - {{ claim }}.threshold) <= {{ claim }}.tolerance
        then 'SUPPORTED'
    when
        {{ claim }}.operator = 'APPROX'
        and abs({{ value }} - {{ claim }}.threshold) <= 3 * {{ claim }}.tolerance
        and sign({{ value }}) = sign({{ claim }}.threshold)
        then 'PARTIAL'
    {% for operator, sql, slack in [
        ('GT', '>', '-'), ('GE', '>=', '-'), ('LT', '<', '+'), ('LE', '<=', '+'),
    ] -%}
    when {{ claim }}.operator = '{{ operator }}' and {{ value }} {{ sql }} {{ claim }}.threshold then 'SUPPORTED'
    when
        {{ claim }}.operator = '{{ operator }}' and {{ claim }}.tolerance > 0
        and {{ value }} {{ sql[:1] }}= {{ claim }}.threshold {{ slack }} {{ claim }}.tolerance
        then 'PARTIAL'
    {% endfor -%}
    when
        {{ claim }}.operator = 'BETWEEN'
        and {{ value }} >= {{ claim }}.threshold and {{ value }} <= {{ claim }}.threshold_high
        then 'SUPPORTED'
    when
        {{ claim }}.operator = 'BETWEEN'
        and {{ value }} >= {{ claim }}.threshold - {{ claim }}.tolerance
        and {{ value }} <= {{ claim }}.threshold_high + {{ claim }}.tolerance
        then 'PARTIAL'
    else 'CONTRADICTED'
end
{%- endmacro %}

{# The comparison behind a verdict as a sentence. #}
{% macro explain_verdict(v) -%}
    concat_ws(
        ' ', cast(round({{ v }}.evidence_value, 4) as {{ type_text() }}), nullif({{ v }}.unit, ''), 'against',
        case {{ v }}.operator
            when 'APPROX' then 'about' when 'EQ' then 'equal to' when 'GT' then 'more than' when 'GE' then 'at least'
            when 'LT' then 'less than' when 'LE' then 'at most' when 'BETWEEN' then 'between'
        end,
        cast({{ v }}.threshold as {{ type_text() }}),
        case when {{ v }}.operator = 'BETWEEN' then 'and ' || cast({{ v }}.threshold_high as {{ type_text() }}) end,
        case when {{ v }}.tolerance > 0 then '(tolerance ' || cast({{ v }}.tolerance as {{ type_text() }}) || ')' end
    )
{%- endmacro %}
