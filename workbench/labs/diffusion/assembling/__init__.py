"""Model assembly: a UNet's blocks clicked away, what is left of its cost, and trained students."""
