"""Networks of MegaPortraits, one class for each box of its figures."""
