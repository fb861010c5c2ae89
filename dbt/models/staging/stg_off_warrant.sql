{{ vintages('off_warrant') }}
