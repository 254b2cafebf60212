"""What any network sees of a head: coordinates, framing of the stored square, crops of face and eyes, head matrix."""
