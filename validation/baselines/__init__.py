"""Other methods on the same rows, as yardsticks.

In: reflectance and angles, and measurements of other rows where a baseline learns.
Out: estimates of SNAP's networks, vegetation indices, look-up tables, Gaussian processes.
"""
