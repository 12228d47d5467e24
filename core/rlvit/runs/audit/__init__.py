"""Compares a registry with the folders that it is an index of."""
