"""Measuring: arithmetic, time, memory, rooflines and energy, with what was assumed always stated.

Nothing here imports jax until a function that needs it is called::

    from workbench.measure.cost import Cost
    from workbench.measure import macs, timing, memory, roofline, energy, device
"""
