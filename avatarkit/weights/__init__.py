"""Other people's networks: which files they are, where they are kept, how they are fetched and loaded."""
