"""Compiling every kernel for devices that are not here, and saying what came out."""
