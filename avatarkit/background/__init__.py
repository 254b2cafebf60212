"""Matting, inpainting and compositing: the portrait as a foreground with a matte over a background plate."""
