"""Studies: search for good values of a method's configuration; every trial is made of runs."""
