"""Evidence that answers are right: simulations with a known truth, enumeration, and published results.

``python -m evidence SECTION`` runs a section and stores its result; the page ``docs/evidence.md`` shows stored results.
"""
