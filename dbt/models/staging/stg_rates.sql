{{ vintages('rates') }}
