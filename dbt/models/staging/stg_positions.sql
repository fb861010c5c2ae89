{{ vintages('positions') }}
