"""Tables: one reader of every dialect, and one writer of CSV.

In: CSV, Excel and Parquet as people write them.
Out: blocks of pyarrow tables, whose columns, numbers and dates are understood or refused.
"""
