"""A run's life: planned, executed, recorded, interrupted, resumed."""
