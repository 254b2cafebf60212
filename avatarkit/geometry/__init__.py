"""Rotations, similarities, crops and sampling grids.

Coordinates are (x, y, z): x to the right, y down, z away from the camera, in pixels, with pixel centres at
integers. Yaw turns about y, pitch about x, roll about z; matrices act on column vectors.
"""
