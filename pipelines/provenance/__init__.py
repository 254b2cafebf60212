"""What an output says of itself: metadata, a signed manifest, a visible label; and how all of that is checked."""
