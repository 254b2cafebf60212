"""Originals from where they are published: yt-dlp, limits of rate and space, classes of failure."""
