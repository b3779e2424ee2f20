"""The pool of threads and who has them: the laws stand at the head of pool.py. Standard library only."""
