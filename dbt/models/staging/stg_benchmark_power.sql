{{ vintages('benchmark_power') }}
