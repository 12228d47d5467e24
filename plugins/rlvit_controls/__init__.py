"""Control arms: token selections that learn nothing, at the same compute as those that do."""
