"""Field data: tables of plots with what was measured there.

In: CSV, Excel, Parquet, GeoPackage, shapefile, GeoJSON, tables of published campaigns.
Out: one table, a row a plot and date, in our units, with a definition of every quantity.
"""
