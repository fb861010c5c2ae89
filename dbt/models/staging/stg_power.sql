{{ vintages('power') }}
