"""How paths are matched: prefixes, fallthrough, and where Django stands. See application.py for who answers."""
