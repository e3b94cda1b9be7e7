"""Clusters from a fit: co-clustering, partitions, credible balls, merged components."""
