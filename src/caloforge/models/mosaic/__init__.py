"""Mosaic: a shower as a tree of splits, each drawn from real ones."""
