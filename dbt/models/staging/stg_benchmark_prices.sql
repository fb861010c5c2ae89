{{ vintages('benchmark_prices') }}
