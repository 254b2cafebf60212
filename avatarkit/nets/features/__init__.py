"""Frozen networks whose feature maps the losses compare: VGG19, VGGFace and the trunk of our gaze net."""
