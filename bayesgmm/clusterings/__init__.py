"""Clusters and partitions from a fit."""
