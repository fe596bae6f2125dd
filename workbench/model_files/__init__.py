"""Models as files, in the layout of diffusers and transformers, and the precision of their weights.

Names of a module's attributes are the format's own, so that a key is the path to a parameter.
"""
