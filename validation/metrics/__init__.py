"""Scores: array kernels without labels or files.

In: arrays of estimates, measurements, sds, quantiles, clusters.
Out: bias, RMSE, correlation, coverage, interval score, CRPS, and their bootstrap intervals.
"""
