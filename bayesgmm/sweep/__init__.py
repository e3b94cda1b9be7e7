"""The sweep: a table of components scores points, a fold sums them up into sufficient statistics."""
