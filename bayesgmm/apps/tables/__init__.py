"""Clusters and anomalies in tables, from files to files."""
