"""How good a picture looks, without anything to compare it with."""
