"""What each stage of MetaPortrait trains."""
