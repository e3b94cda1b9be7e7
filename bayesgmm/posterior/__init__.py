"""The log posterior, and the one schema of results."""
