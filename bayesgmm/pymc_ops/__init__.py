"""The sweep and small matrix functions as PyTensor Ops, and the mixture as a PyMC distribution."""
