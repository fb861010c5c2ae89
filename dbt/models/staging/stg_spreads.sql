{{ vintages('spreads') }}
