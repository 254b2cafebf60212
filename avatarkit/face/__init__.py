"""Finding and following faces: trackers, choice of a face, cuts, gaps and smoothing."""
