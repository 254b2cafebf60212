"""What a driver's head does, free of who it is: extraction, smoothing, the motion file, transfer to a source."""
