"""Recording frames: of a random policy, and of the trained policy of another run."""
