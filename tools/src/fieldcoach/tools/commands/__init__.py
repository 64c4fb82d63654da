"""What each `fieldcoach` command does; `cli.py` declares their options."""
