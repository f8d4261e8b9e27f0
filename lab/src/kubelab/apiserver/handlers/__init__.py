"""One module a verb: what happens to a request between its parsing and its answer."""
