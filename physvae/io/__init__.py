"""Files, folders of models, and what is said on the terminal.

In: paths, texts and objects that are to be kept.
Out: files that appear whole or not at all; one sentence for whatever is wrong with one.
"""
