"""Blocks of convolutional networks: one file each, with the row of a table that describes it."""
