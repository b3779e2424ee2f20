"""The query language: filters, order, search and numbers over rows."""
