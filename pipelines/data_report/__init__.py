"""`avatarkit data report`: a dataset's facts, charts and pictures as one page."""
