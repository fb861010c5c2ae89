{{ vintages('fx') }}
