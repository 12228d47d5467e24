"""A tracker that shows rlvit's runs in MLflow, written with the run events alone."""
