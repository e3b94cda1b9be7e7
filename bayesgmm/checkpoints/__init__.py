"""Checkpoints: what a killed fit had computed is kept in a folder, and the same fit goes on from it."""
