"""The arithmetic of value-based reinforcement learning, shared by methods and tested once."""
