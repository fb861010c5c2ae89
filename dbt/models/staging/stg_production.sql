{{ vintages('production') }}
