"""Run a function somewhere. Knows no radiograph."""
