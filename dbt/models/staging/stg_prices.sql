{{ vintages('prices') }}
