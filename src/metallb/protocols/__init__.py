"""Sans-io protocols: one room each, with its packet codec, its machine and its errors."""
