{{ vintages('exports') }}
