-- The costs of the lake as known now: every vintage with the interval in which it was the latest.
{{ vintages('costs') }}
