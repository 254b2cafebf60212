"""What each stage of the method trains."""
