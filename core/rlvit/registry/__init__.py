"""The database of runs and studies: `store` and `studies` write, `queries` and `studies` read."""
