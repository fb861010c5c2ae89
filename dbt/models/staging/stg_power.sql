-- Not stored: a quarter hour of each zone is a row, and int_power_known reads it once, in slices.
{{ config(materialized='ephemeral') }}

{{ vintages('power', in_slice('delivery_date')) }}
