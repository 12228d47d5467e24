"""Reports: tables and figures computed from the registry and nothing else."""
