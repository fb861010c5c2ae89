{{ vintages('stocks_by_location') }}
