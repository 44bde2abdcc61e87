"""What the shipped models are worth on the labelled sets of the development data.

In: a model or any estimator, the labelled sets, simulations.
Out: scores by set and class, field intervals, ranks, reconstructions, what was in view.
"""
