"""How sync work of a request gets to its thread, through the doors of asgiref and AnyIO."""
