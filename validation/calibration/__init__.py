"""Conformal adjustment of intervals, and the predictive distributions it starts from.

In: estimates with quantiles beside measurements.
Out: the adjustment file that `physvae retrieve --calibration` applies.
"""
