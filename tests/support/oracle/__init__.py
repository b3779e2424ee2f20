"""FastAPI as the oracle: generated APIs and requests, sent to FastAPI alone and to the same API with plans."""
