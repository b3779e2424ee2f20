"""Who calls, and which rows they may see."""
