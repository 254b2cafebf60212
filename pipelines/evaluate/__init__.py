"""`avatarkit evaluate`: figures of reenactments, of our engines and of any other program's videos."""
