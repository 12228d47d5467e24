"""Learning tasks for the methods of rlvit, each behind its own lazy import."""
