{{ vintages('costs') }}
