{{ vintages('arbitrage') }}
