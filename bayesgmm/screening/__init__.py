"""The check of a table before it is used: the kind of each column, missing values, ids, and what else stands out."""
