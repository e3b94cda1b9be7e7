"""Benchmarks: speed compared with other packages, each in one run, with a check that the answers agree."""
