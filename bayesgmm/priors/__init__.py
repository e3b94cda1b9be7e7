"""Priors of weights, means and covariances, and of the numbers that these learn.

What a prior is in itself is a method of its class: parameters and their checks, ``resolve``, coordinates, native
density, draws, typical size. What another room makes of a prior (a PyMC variable, a factor of variational Bayes, words
and formulas) is a function of that room, decorated with ``bayesgmm.dispatch.by_class``, with one implementation for
each class. No module outside this room asks for a prior's class in another way.
"""
