"""One request and its thread: from the first sync call to the end of the answer."""
