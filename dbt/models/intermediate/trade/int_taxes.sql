with valid_taxes as (
    {{ valid_rows('tax_schedule', by=['country', 'tax'], columns=['rate']) }}
),

changes as (
    select
        metal,
        valid_from,
        max(rate) filter (where tax = 'VAT') as vat,
        max(rate) filter (where tax = 'IMPORT_DUTY') as import_duty,
        max(rate) filter (where tax = 'SEMIS_EXPORT_REBATE') as semis_rebate
    from valid_taxes
    where country = 'CN'
    group by metal, valid_from
)

{{ each_day('changes', ['vat', 'import_duty', 'semis_rebate']) }}
