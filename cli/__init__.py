"""The command line: commands parse, call a pipeline and render its report."""

if __name__ == "cli":
    raise ImportError(
        "import avatarkit.cli instead of cli: a bare import makes a second copy of every module"
    )
