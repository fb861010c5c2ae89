{{ vintages('premia') }}
