"""`python -m avatarkit` is the `avatarkit` command."""

from avatarkit.cli.app import main

if __name__ == "__main__":
    main()
