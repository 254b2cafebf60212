"""`avatarkit evaluate study`: which of two methods people prefer, by a page that they answer, and what they said."""
