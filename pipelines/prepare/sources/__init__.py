"""Where datasets come from: a class for each source, which plans it and makes jobs of what is planned."""
