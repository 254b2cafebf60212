"""From originals to training clips: fetch, track, crop, annotate, score."""
