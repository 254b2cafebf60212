"""Plans of prepare-data, one module for each kind of original."""
