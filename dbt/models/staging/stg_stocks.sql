{{ vintages('stocks') }}
