"""Bundles: runs as one file that another home can read, whatever else it was sent."""
