with valid_taxes as (
    {{ valid_rows('tax_schedule', by=['country', 'tax'], columns=['rate']) }}
),

changes as (
    select
        metal,
        valid_from,
        max(rate) filter (where country = 'CN' and tax = 'VAT') as vat,
        max(rate) filter (where country = 'CN' and tax = 'IMPORT_DUTY') as import_duty,
        max(rate) filter (where country = 'CN' and tax = 'SEMIS_EXPORT_REBATE') as semis_rebate,
        max(rate) filter (where country = 'US' and tax = 'SECTION_232') as section_232
    from valid_taxes
    group by metal, valid_from
)

{{ each_day('changes', ['vat', 'import_duty', 'semis_rebate', 'section_232']) }}
