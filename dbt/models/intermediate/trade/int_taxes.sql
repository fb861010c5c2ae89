with valid_taxes as (
    {{ valid_on(ref('int_days'), 'tax_schedule', by=['country', 'tax'], columns=['rate']) }}
)

select
    metal,
    calendar_date,
    max(rate) filter (where tax = 'VAT') as vat,
    max(rate) filter (where tax = 'IMPORT_DUTY') as import_duty,
    max(rate) filter (where tax = 'SEMIS_EXPORT_REBATE') as semis_rebate
from valid_taxes
where country = 'CN'
group by metal, calendar_date
