"""A selector for rlvit: keep the patches of highest local variance."""
