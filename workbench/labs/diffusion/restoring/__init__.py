"""Super-resolution: a picture made worse, and what bicubic, 8x and 4x make of it."""
