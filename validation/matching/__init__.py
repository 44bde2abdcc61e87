"""Which estimate belongs to which measurement.

In: a field table, and a table of estimates or maps of any software.
Out: pairs, and a ledger that says of every row whether it was used, and why not.
"""
