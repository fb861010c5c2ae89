{{ vintages('equities') }}
