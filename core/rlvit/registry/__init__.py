"""The database that remembers every run; `store` is its only writer, `queries` its only reader."""
