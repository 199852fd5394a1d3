"""The subcommands of `kraal`, and what they share."""
