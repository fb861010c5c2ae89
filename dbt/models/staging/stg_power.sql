{{ config(materialized='in_slices', sliced_dataset='power', sliced_by='delivery_date') }}

{{ vintages('power', in_slice('delivery_date')) }}
