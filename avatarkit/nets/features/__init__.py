"""Frozen networks whose feature maps the losses compare: VGG16, VGG19, VGGFace and the trunk of our gaze net."""
