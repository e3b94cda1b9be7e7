"""Data on the workers of a Dask cluster: a first pass, and sweeps to which each worker adds the sums of its rows."""
