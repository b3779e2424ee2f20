"""Books whose history is kept, and that are exported, imported and lent by those who may."""
