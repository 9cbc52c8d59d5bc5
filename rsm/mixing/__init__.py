"""The theory of the method: the advantage of a referential policy (eq. 3), the Fisher form (eq. 4), ζ."""
