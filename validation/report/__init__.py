"""The report: scores, tables, figures and the page that shows them.

In: pairs of `validation.matching`, and what the run was asked for.
Out: report.md, report.html, tables as CSV, figures as PNG and PDF.
"""
