{{ vintages('exchange_stocks') }}
