"""PyTensor Ops for the sweep and small matrix functions, and the mixture as a PyMC distribution."""
